"""Requests are let in by their headers alone: a busy companion says so before the upload.

A refusal costs the device the headers and a round trip. It does not ask first (`Expect: 100-continue`), which would
cost that round trip each time: what is refused here is rare, since every reply tells of the queue, and one refusal
keeps a device away for as long as it says. Clients that do ask are answered in time all the same.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web

from collab_sdk import wire
from collabd.cloud.api.guard import device_of
from collabd.cloud.call.dispatcher import CloudDispatcher
from collabd.http.bodies import largest_body


class CloudDoor:
    """A `collabd.http.protocol.Door`."""

    def __init__(self, dispatcher: CloudDispatcher, max_request_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._max_request_bytes = max_request_bytes

    def __call__(self, request: web.Request) -> CloudVisit:
        """The visit of a request. Raises `Overloaded` and `NotReady`."""
        size, patience_s = largest_body(request, self._max_request_bytes), wire.patience_s(request.headers)
        return CloudVisit(self._dispatcher, device_of(request), size, patience_s=patience_s)


class CloudVisit:
    """A `collabd.http.protocol.Visit`."""

    __slots__ = ("_arriving", "_device", "_dispatcher")

    def __init__(self, dispatcher: CloudDispatcher, device: str | None, size: int, *, patience_s: float | None) -> None:
        self._dispatcher = dispatcher
        self._device = device
        self._arriving = dispatcher.arriving(device, size, patience_s)

    async def may_read(self) -> None:
        """At once: who may not was refused."""

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Answer the request. Raises `CollabError`."""
        return await self._dispatcher.infer(name, request, peer=self._device)

    def __enter__(self) -> Self:
        self._arriving.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._arriving.__exit__(kind, error, traceback)
