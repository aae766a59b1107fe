"""An HTTP reply as the SDK reads it from the daemon's socket."""

from __future__ import annotations

import socket
import time
from contextlib import closing

from collab_sdk._http import BrokeOff, KeptConnection, NotHttp
from collab_sdk.transport import DaemonRequest

WORDS = (
    *("HTTP/1.1 200 OK\r\n", "HTTP/1.0", "Content-Length: ", "Connection: close", "\r\n\r\n", "Transfer-Encoding"),
    *("Inference-Header-Content-Length: ", "Retry-After: 1"),
)


def check(data: bytes) -> None:
    """The reply has as many bytes as its headers say, or there is one of two errors."""
    near, far = socket.socketpair(socket.AF_UNIX)
    with far, closing(KeptConnection(near)) as connection:
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        try:
            reply = connection.exchange(DaemonRequest("GET", "/v2"), time.monotonic() + 60)
        except (NotHttp, BrokeOff):
            return
    assert data.endswith(reply.body)
    assert reply.headers.get("content-length") is not None
    assert 100 <= reply.status < 600


def seeds() -> list[bytes]:
    """Replies that are whole, cut off, too long, and of others."""
    return [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ]
