"""How a failure leaves: its HTTP status and ``{"error": ..., "code": ..., "details": ...}``."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collab_sdk.errors import CollabError, DaemonFault, InvalidRequest, InvalidTensor, NotReady, Overloaded
from collab_sdk.text import plain
from collabd.codec import CodecError
from collabd.http.bodies import BODY

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 1


class Refusal(NamedTuple):
    """A reply that tells of an error."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


def refusal(error: CollabError) -> Refusal:
    """What tells of an error, for any server."""
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json"}
    if isinstance(error, Overloaded | NotReady):
        headers[hdrs.RETRY_AFTER] = str(_RETRY_AFTER_S)
    return Refusal(HTTPStatus(error.http_status), headers, wire.encode_error(error))


def error_reply(error: CollabError) -> web.Response:
    """What tells of an error, for aiohttp."""
    said = refusal(error)
    return web.Response(body=said.body, status=said.status, headers=said.headers)


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a reply. Defects of the daemon are logged in full."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        reply = _http_reply(request, error)
    except Exception as error:  # noqa: BLE001  it is told, and logged if it is the daemon's fault
        reply = error_reply(told(error, f"{request.method} {request.path}"))
    # A body that could not be read, or that the client has not sent, would be taken for the next request.
    if request.content.exception() is not None or (hdrs.EXPECT in request.headers and BODY not in request):
        reply.force_close()
    return reply


def told(error: Exception, asked: str) -> CollabError:
    """The error as a peer is told of it. Defects of the daemon are logged in full, with what was `asked`."""
    if isinstance(error, CodecError):
        return InvalidTensor(str(error))
    if isinstance(error, wire.WireError):
        return InvalidRequest(str(error))
    if isinstance(error, CollabError) and not isinstance(error, DaemonFault):
        return error
    log.error("%s failed", plain(asked), exc_info=error)
    if isinstance(error, CollabError):
        return error
    return DaemonFault("the daemon failed at this request; its journal says why")


def _http_reply(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such path, or not with this method."""
    reply = error_reply(InvalidRequest(f"{request.method} {request.path[:200]}: {error.reason}"))
    reply.set_status(error.status)
    if hdrs.ALLOW in error.headers:
        reply.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return reply
