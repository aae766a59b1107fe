"""How a failure leaves: its HTTP status and ``{"error": ..., "code": ..., "details": ...}``."""

from __future__ import annotations

import logging

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from collab_sdk import wire
from collab_sdk.errors import CollabError, DaemonFault, InvalidRequest, InvalidTensor, NotReady, Overloaded
from collab_sdk.text import plain
from collabd.codec import CodecError
from collabd.http.bodies import BODY

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 1


def error_reply(error: CollabError) -> web.Response:
    """The reply that tells of an error."""
    headers = {hdrs.RETRY_AFTER: str(_RETRY_AFTER_S)} if isinstance(error, Overloaded | NotReady) else None
    body = wire.encode_error(error)
    return web.Response(body=body, status=error.http_status, content_type="application/json", headers=headers)


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a reply. Defects of the daemon are logged in full."""
    try:
        return await handler(request)
    except CollabError as error:
        if isinstance(error, DaemonFault):
            log.exception("%s %s failed", request.method, plain(request.path))
        reply = error_reply(error)
    except CodecError as error:
        reply = error_reply(InvalidTensor(str(error)))
    except wire.WireError as error:
        reply = error_reply(InvalidRequest(str(error)))
    except web.HTTPException as error:
        reply = _http_reply(request, error)
    except Exception:
        log.exception("%s %s failed", request.method, plain(request.path))
        reply = error_reply(DaemonFault("the daemon failed at this request; its journal says why"))
    # A body that could not be read, or that the client has not sent, would be taken for the next request.
    if request.content.exception() is not None or (hdrs.EXPECT in request.headers and BODY not in request):
        reply.force_close()
    return reply


def _http_reply(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals: no such path, or not with this method."""
    reply = error_reply(InvalidRequest(f"{request.method} {request.path[:200]}: {error.reason}"))
    reply.set_status(error.status)
    if hdrs.ALLOW in error.headers:
        reply.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return reply
