"""Who is let in, before anything of a request but its headers is read: a busy companion says so before the upload.

A refusal costs the device the headers and a round trip. It does not ask first (`Expect: 100-continue`), which would
cost that round trip each time: what is refused here is rare, since every reply tells of the queue, and one refusal
keeps a device away for as long as it says. Clients that do ask are answered in time all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from collabd.cloud.dataplane import CloudPlane
from collabd.cloud.guard import device_of
from collabd.oip import Infer


class Door:
    """A `collabd.oip.Door`. A body that does not say how long it is may become of `most_bytes`."""

    def __init__(self, plane: CloudPlane, most_bytes: int) -> None:
        self._plane = plane
        self._most_bytes = most_bytes

    @asynccontextmanager
    async def __call__(self, request: web.Request) -> AsyncIterator[Infer]:
        """Around a request. Raises `Overloaded` and `NotReady`."""
        size = self._most_bytes if request.content_length is None else request.content_length
        device = device_of(request)
        with self._plane.arriving(device, size):
            yield partial(self._plane.infer, peer=device)
