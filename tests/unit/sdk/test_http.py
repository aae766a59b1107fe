"""One connection: requests as they go out, and replies however they come in."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from collab_sdk._http import MAX_BODY_BYTES, BrokeOff, KeptConnection, NotHttp
from collab_sdk.errors import DeadlineExceeded
from collab_sdk.transport import DaemonReply, DaemonRequest
from collab_sdk.wire import Message
from tests.patience import PATIENCE_S, joined

ASKED = DaemonRequest("GET", "/v2")


@pytest.fixture
def pair() -> Iterator[tuple[KeptConnection, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX)
    with far, closing(KeptConnection(near)) as connection:
        far.settimeout(PATIENCE_S)
        yield connection, far


def asked(connection: KeptConnection, request: DaemonRequest = ASKED, within_s: float = 10) -> DaemonReply:
    return connection.exchange(request, time.monotonic() + within_s)


def test_a_request_is_a_head_and_its_chunks(pair: tuple[KeptConnection, socket.socket]) -> None:
    connection, far = pair
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    chunks: list[bytes | memoryview] = [b"one, ", b"", memoryview(b"two")]
    asked(connection, DaemonRequest("POST", "/v2/x?y=1", Message(chunks, {"Content-Type": "text/plain"})))
    head, _, body = far.recv(65536).partition(b"\r\n\r\n")
    assert body == b"one, two"
    assert head.split(b"\r\n") == [
        b"POST /v2/x?y=1 HTTP/1.1",
        b"Host: localhost",
        b"Content-Length: 8",
        b"Content-Type: text/plain",
    ]


def test_more_chunks_than_a_system_call_takes(pair: tuple[KeptConnection, socket.socket]) -> None:
    connection, far = pair
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asked(connection, DaemonRequest("POST", "/", Message([b"%04d" % number for number in range(2000)])))
    assert far.recv(65536).endswith(b"".join(b"%04d" % number for number in range(2000)))


def test_a_reply_comes_in_pieces_of_any_size(pair: tuple[KeptConnection, socket.socket]) -> None:
    connection, far = pair
    says = b"HTTP/1.1 404 Not Found\r\ncontent-length:  5 \r\nX-Y:z\r\n\r\nhello"
    for step in (1, 7, len(says)):

        def speak(step: int = step) -> None:
            for at in range(0, len(says), step):
                far.sendall(says[at : at + step])
                time.sleep(0.0005)

        thread = threading.Thread(target=speak)
        thread.start()
        reply = asked(connection)
        joined(thread)
        assert (reply.status, reply.body, connection.kept) == (404, b"hello", True)
        assert [reply.headers.get(name) for name in ("x-y", "CONTENT-LENGTH", "X")] == ["z", "5", None]


def test_bodies_larger_than_any_buffer_go_both_ways(pair: tuple[KeptConnection, socket.socket]) -> None:
    connection, far = pair
    body, heard = bytes(range(256)) * 2**14, bytearray()

    def echo() -> None:
        while not heard.endswith(body):
            heard.extend(far.recv(2**20))
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    thread = threading.Thread(target=echo)
    thread.start()
    assert asked(connection, DaemonRequest("POST", "/", Message([body]))).body == body
    joined(thread)


@pytest.mark.parametrize(
    ("says", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_as_long_as_the_peer_keeps_it(
    pair: tuple[KeptConnection, socket.socket], says: bytes, kept: bool
) -> None:
    connection, far = pair
    far.sendall(says)
    asked(connection)
    assert connection.kept is kept


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**16,
        b"\r\n\r\n",
    ],
)
def test_what_is_no_reply_of_collabd_is_refused(pair: tuple[KeptConnection, socket.socket], says: bytes) -> None:
    connection, far = pair
    far.sendall(says)
    with pytest.raises(NotHttp):
        asked(connection)


@pytest.mark.parametrize(
    "says", [b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno"]
)
def test_a_reply_that_ends_early_broke_off(pair: tuple[KeptConnection, socket.socket], says: bytes) -> None:
    connection, far = pair
    far.sendall(says)
    far.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokeOff):
        asked(connection)


@pytest.mark.parametrize("body", [b"", bytes(2**22)], ids=["while it waits", "while it sends"])
def test_the_deadline_ends_it(pair: tuple[KeptConnection, socket.socket], body: bytes) -> None:
    connection, _ = pair
    with pytest.raises(DeadlineExceeded):
        asked(connection, DaemonRequest("POST", "/", Message([body])), within_s=0.05)
