"""A door that speaks HTTP: its listener, and its limits on connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from collab_sdk.errors import CollabError
from collabd.device.doors.asker import Asker
from collabd.http.error_replies import errors_told, refusal
from collabd.http.listening import host_and_port
from collabd.http.plain import PlainAnswer
from collabd.http.server import ConnectionLimits, http_runner

# Callers come over the network, so that a handshake may stall.
_HANDSHAKE_S = 10.0
# Those of DeepStack and DOODS; another mistake of the caller is 400, and another failure 500.
_STATUSES = frozenset({400, 401, 404, 413, 500, 503})
# Calls under way have so long to end when the daemon stops.
_DRAIN_S = 10.0


@dataclass(frozen=True)
class HttpAdapter:
    """A protocol over HTTP: its paths, and what answers plain inference requests past them, if anything does."""

    app: web.Application
    plain_answer: PlainAnswer | None = None


def json_errors(body: Callable[[str], dict[str, Any]]) -> Middleware:
    """A middleware that tells of errors in JSON, which `body` makes of a message, by the statuses that clients know."""

    def reply(error: CollabError) -> web.Response:
        said = refusal(error)
        status = said.status if said.status in _STATUSES else 400 if said.status < 500 else 500
        return web.Response(body=msgspec.json.encode(body(str(error))), status=status, headers=said.headers)

    return errors_told(reply)


@asynccontextmanager
async def http_door(asker: Asker, adapter: HttpAdapter) -> AsyncIterator[None]:
    """The door is open inside this context. Raises `OSError` if its address cannot be listened on."""
    host, port = host_and_port(asker.settings.listen)
    context = asker.keys.tls
    limits = ConnectionLimits(connections=128)
    async with http_runner(adapter.app, _DRAIN_S, plain_answer=adapter.plain_answer, limits=limits) as runner:
        assert runner.server is not None  # noqa: S101  it is set up
        try:
            listener = await asyncio.get_running_loop().create_server(
                runner.server, host, port, ssl=context, ssl_handshake_timeout=None if context is None else _HANDSHAKE_S
            )
        except PermissionError as error:
            error.add_note("collabd runs without root's rights: choose a port from 1024 on")
            raise
        bound, port = listener.sockets[0].getsockname()[:2]
        scheme = "http" if context is None else "https"
        asker.traffic.address = f"{scheme}://{f'[{bound}]' if ':' in bound else bound}:{port}"
        with closing(listener):
            yield
