"""The companion as an ASGI application, for servers other than its own.

Requests are handed on, through a Unix socket in a private directory, to the HTTP application of the daemon: each path,
check, limit and error is the daemon's, and so is a device's hanging up while it waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from collabd.cloud.counters import CloudCounters
from collabd.cloud.reload_at_change import reload_at_change
from collabd.cloud.server import answering
from collabd.config import CloudConfig, Loaded
from collabd.file_changes import FileChanges
from collabd.lifecycle import background, do_without

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Read = Callable[[], Loaded[CloudConfig]]
Export = Callable[[CloudCounters], Coroutine[Any, Any, None]]

_HOST = "collab-cloudd"
# These headers speak of one connection or one server, and here are two of each.
_HOP_BY_HOP = frozenset(
    {"connection", "date", "expect", "keep-alive", "server", "te", "trailer", "transfer-encoding", "upgrade"}
)
_BODY = frozenset({b"content-length", b"transfer-encoding"})


class Bridge:
    """The application. It starts and stops with the lifespan of the server; before, it can be copied to a replica.

    `read` gives its configuration, at the start and again when its file changes. `export` runs beside the
    companion, and tells others what it counts.
    """

    _inside: aiohttp.ClientSession

    def __init__(self, read: Read, export: Export | None = None) -> None:
        self._read = read
        self._export = export

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI's one call. Raises `ValueError` for what is neither HTTP nor a lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._hand_on(scope, receive, send)
        else:
            raise ValueError(f"no {scope['type']} here")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with _started(self._read, self._export) as self._inside:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _hand_on(self, scope: Message, receive: Receive, send: Send) -> None:
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        url = URL.build(scheme="http", host=_HOST, path=path, query_string=query, encoded=True)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        body = _body(receive) if any(name in _BODY for name, _ in scope["headers"]) else None
        async with self._inside.request(scope["method"], url, headers=_end_to_end(headers), data=body) as reply:
            answer = await reply.read()
        start = [(name.lower().encode(), value.encode()) for name, value in _end_to_end(reply.headers.items())]
        await send({"type": "http.response.start", "status": reply.status, "headers": start})
        await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def _started(read: Read, export: Export | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a running companion, through the one socket that it listens on."""
    with TemporaryDirectory(prefix=f"{_HOST}-") as directory:
        path, loaded = f"{directory}/http", read()
        changes = FileChanges([loaded.path] if loaded.path else [])
        async with AsyncExitStack() as beside:
            daemon = await beside.enter_async_context(answering(loaded))
            reloading = partial(reload_at_change, changes, read, daemon.reconfigure)
            await beside.enter_async_context(background("watching the configuration", reloading, do_without))
            if export is not None:
                exporting = partial(export, daemon.counters)
                await beside.enter_async_context(background("telling the metrics", exporting, do_without))
            await web.UnixSite(daemon.runner, path).start()
            # The server before us bounds how many requests there are, and how long they take.
            connector, patience = aiohttp.UnixConnector(path, limit=0), aiohttp.ClientTimeout(total=None)
            async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
                yield session


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """The body piece by piece, so that one that is too large is refused before all of it has come."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the device hung up")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _end_to_end(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
