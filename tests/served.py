"""A handler of requests, such as a `MockTransport` takes, behind a real HTTP server on a real Unix socket."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from collab_sdk.errors import CollabError
from collab_sdk.transport import ConnectionBroke, DaemonReply, DaemonRequest
from collab_sdk.wire import Message, encode_error
from tests.patience import joined

Handler = Callable[[DaemonRequest], DaemonReply]


def refusal(error: CollabError, *, retry_after: str | None = None) -> DaemonReply:
    """The reply of a daemon that refuses, and perhaps says in how many seconds to come back."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return DaemonReply(error.http_status, encode_error(error), headers)


class ServedDaemon:
    """Answers what the handler replies, refuses what it raises, and hangs up where it raises `ConnectionBroke`.

    ``connections``: how many there were.
    """

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path = path
        self.handler = handler
        self.connections = 0
        self.open: set[socket.socket] = set()
        self.start()

    def start(self) -> None:
        self._server = socketserver.ThreadingUnixStreamServer(str(self.path), _http(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        joined(self._thread)
        self.path.unlink()
        self.hang_up()
        self._server.server_close()

    def hang_up(self) -> None:
        """Close every connection, as a daemon does with those that idle."""
        for connection in list(self.open):
            connection.shutdown(socket.SHUT_RDWR)


def _http(daemon: ServedDaemon) -> type[BaseHTTPRequestHandler]:
    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            daemon.connections += 1
            daemon.open.add(self.connection)

        def finish(self) -> None:
            daemon.open.discard(self.connection)
            super().finish()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = DaemonRequest(self.command, self.path, Message([body], dict(self.headers)))
            try:
                reply = daemon.handler(request)
            except ConnectionBroke:
                self.close_connection = True
                return
            except CollabError as error:
                reply = refusal(error)
            self.send_response(reply.status)
            for name in ("Content-Type", "Inference-Header-Content-Length", "Retry-After"):
                if (value := reply.headers.get(name)) is not None:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

    return Http
