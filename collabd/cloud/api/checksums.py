"""Every reply carries checksums of its body and of its request, so that no device takes damaged bytes for an answer."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collabd.http.bodies import BODY
from collabd.http.checksums import checksum


@web.middleware
async def checksum_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add `wire.CHECKSUM`, and `wire.REQUEST_CHECKSUM` unless the request was refused before its body was read."""
    reply = await handler(request)
    if isinstance(reply, web.Response) and isinstance(reply.body, bytes | bytearray | None):
        reply.headers[wire.CHECKSUM] = await checksum(reply.body or b"")
    # Taken out of the request, because aiohttp keeps it until the next one on its connection.
    asked = request.pop(BODY, None if request.body_exists else bytearray())
    if asked is not None:
        reply.headers[wire.REQUEST_CHECKSUM] = await checksum(asked)
    return reply
