"""Requests are let in by their headers alone: a busy companion says so before the upload.

A refusal costs the device the headers and a round trip. It does not ask first (`Expect: 100-continue`), which would
cost that round trip each time: what is refused here is rare, since every reply tells of the queue, and one refusal
keeps a device away for as long as it says. Clients that do ask are answered in time all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from collabd.cloud.api.guard import device_of
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.http.bodies import largest_body
from collabd.http.protocol import Infer


class CloudDoor:
    """A `collabd.http.protocol.Door`."""

    def __init__(self, dispatcher: CloudDispatcher, max_request_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._max_request_bytes = max_request_bytes

    @asynccontextmanager
    async def __call__(self, request: web.Request) -> AsyncIterator[Infer]:
        """Around a request. Raises `Overloaded` and `NotReady`."""
        device = device_of(request)
        with self._dispatcher.arriving(device, largest_body(request, self._max_request_bytes)):
            yield partial(self._dispatcher.infer, peer=device)
