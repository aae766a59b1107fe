"""How a failure leaves: its HTTP status and ``{"error": ..., "code": ..., "details": ...}``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from collab_sdk import wire
from collab_sdk.errors import CollabError, DaemonFault, InvalidRequest, InvalidTensor, NotReady, Overloaded
from collab_sdk.text import plain
from collabd.codec import CodecError
from collabd.http.bodies import BODY

log = logging.getLogger(__name__)

# Where the error does not say when.
_RETRY_AFTER_S = 1.0


class Refusal(NamedTuple):
    """A reply that tells of an error."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes


def refusal(error: CollabError) -> Refusal:
    """What tells of an error, for any server."""
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json"}
    if isinstance(error, Overloaded | NotReady):
        headers[hdrs.RETRY_AFTER] = str(math.ceil(error.details.get("retry_after_s", _RETRY_AFTER_S)))
    return Refusal(HTTPStatus(error.http_status), headers, wire.encode_error(error))


def error_reply(error: CollabError) -> web.Response:
    """What tells of an error, for aiohttp."""
    said = refusal(error)
    return web.Response(body=said.body, status=said.status, headers=said.headers)


def errors_told(reply: Callable[[CollabError], web.Response]) -> Middleware:
    """A middleware that turns whatever a handler raises into a reply. Defects of the daemon are logged in full.

    `reply` says it as the protocol does. Its status stays but for requests that aiohttp refuses (404, 405).
    """

    @web.middleware
    async def telling(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            said = reply(InvalidRequest(f"{request.method} {request.path[:200]}: {error.reason}"))
            said.set_status(error.status)
            if hdrs.ALLOW in error.headers:
                said.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        except Exception as error:  # noqa: BLE001  it is told, and logged if it is the daemon's fault
            said = reply(told(error, f"{request.method} {request.path}"))
        # A body that could not be read, or that the client has not sent, would be taken for the next request.
        if request.content.exception() is not None or (hdrs.EXPECT in request.headers and BODY not in request):
            said.force_close()
        return said

    return telling


error_middleware = errors_told(error_reply)


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
