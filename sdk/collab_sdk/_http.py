"""One HTTP/1.1 connection over a Unix socket: a request goes out, a reply comes in, with as few calls as that takes.

It reads what collabd writes: replies whose headers state the length of the body. Anything else raises `NotHttp`. The
socket never blocks; only `_Patience` waits, and never past the deadline.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Sequence
from functools import lru_cache

from collab_sdk._message import MAX_JSON_BYTES
from collab_sdk.errors import DeadlineExceeded
from collab_sdk.transport import TOO_LATE, DaemonReply, DaemonRequest

# A reply holds JSON and a row of scores.
MAX_BODY_BYTES = 4 * MAX_JSON_BYTES
# Holds a reply's head, and as a rule the whole answer to a call.
_BUFFER_BYTES = 2**16
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?(?=\r\n|$)")
_USUAL_STATUS = "HTTP/1.1 200 OK"
_BEGINNING = b"HTTP/1."
_END = b"\r\n\r\n"
_LONGEST_POLL_S = 1e6
# Digits.
_LONGEST_LENGTH = 12
# Chunks that one system call may take (IOV_MAX is 1024).
_MOST_CHUNKS = 64


class NotHttp(Exception):
    """What came is no reply in HTTP/1.1 with a stated length."""


class BrokeOff(Exception):
    """The peer closed the connection before its reply was complete."""


class ReplyHeaders:
    """The headers of a reply; their names have no case."""

    def __init__(self, lines: str) -> None:
        """Each line begins with a line break. They are looked through when somebody asks: of most, nobody does."""
        self._lines = lines
        self._names = lines.lower()

    def get(self, name: str, /) -> str | None:
        """The header's value; None: there is none."""
        named = f"\r\n{name.lower()}:"
        at = self._names.find(named)
        if at < 0:
            return None
        began = at + len(named)
        end = self._lines.find("\r\n", began)
        return self._lines[began : None if end < 0 else end].strip()


class KeptConnection:
    """A connection on which one request follows another. ``kept``: whether another may follow the last."""

    def __init__(self, connected: socket.socket) -> None:
        """Takes over a connected socket."""
        connected.setblocking(False)
        self._socket = connected
        self._patience = _Patience(connected)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._room = memoryview(self._buffer)
        self.kept = True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def broke_while_idle(self) -> bool:
        """Whether the peer hung up (or spoke out of turn) since the last reply."""
        return self._patience.is_over()

    def exchange(self, request: DaemonRequest, deadline: float) -> DaemonReply:
        """The reply to the request, by the deadline (a time of `time.monotonic`).

        `DeadlineExceeded`, `NotHttp`, `BrokeOff`. After an error the connection is of no more use.
        """
        try:
            self._send(_chunks(request), deadline)
            return self._receive(deadline)
        except ConnectionError as error:
            raise BrokeOff(str(error)) from error

    def _send(self, chunks: Sequence[bytes | memoryview], deadline: float) -> None:
        while chunks:
            try:
                sent = self._socket.sendmsg(chunks[:_MOST_CHUNKS])
            except BlockingIOError:
                self._patience.wait(select.POLLOUT, deadline)
            except BrokenPipeError:
                # A daemon that refuses a body closes before it has read it all; the daemon's reply may have arrived.
                return
            else:
                chunks = _unsent(chunks, sent)

    def _receive(self, deadline: float) -> DaemonReply:
        buffer, room = self._buffer, self._room
        filled = self._receive_into(room, deadline)
        while (end := buffer.find(_END, 0, filled)) < 0:
            if not buffer.startswith(_BEGINNING[:filled]):
                raise NotHttp(f"it began with {bytes(room[: min(filled, 80)])!r}")
            if filled == _BUFFER_BYTES:
                raise NotHttp(f"its head has more than {_BUFFER_BYTES} bytes")
            filled += self._receive_into(room[filled:], deadline)
        status, headers, length, self.kept = _head(str(room[:end], "latin-1"))
        began = end + len(_END)
        # What comes behind the body would be taken for the next reply.
        if (there := filled - began) > length:
            raise NotHttp("its body is longer than it said")
        if there == length:
            return DaemonReply(status, bytes(room[began:filled]), headers)
        body = bytearray(length)
        body[:there] = room[began:filled]
        rest = memoryview(body)[there:]
        while rest:
            rest = rest[self._receive_into(rest, deadline) :]
        return DaemonReply(status, bytes(body), headers)

    def _receive_into(self, room: memoryview, deadline: float) -> int:
        """How many bytes came, 1 or more."""
        while True:
            self._patience.wait(select.POLLIN, deadline)
            try:
                came = self._socket.recv_into(room)
            except BlockingIOError:
                continue
            if not came:
                raise BrokeOff("it ended before its reply was complete")
            return came


class _Patience:
    """Waits for a socket to be ready."""

    def __init__(self, waited_for: socket.socket) -> None:
        self._socket = waited_for
        self._poll = select.poll()
        self._event = select.POLLIN
        self._poll.register(waited_for, self._event)

    def is_over(self) -> bool:
        """Whether there is no need to wait until something comes from the socket."""
        return bool(self._poll.poll(0))

    def wait(self, event: int, deadline: float) -> None:
        """Return when the socket is ready for the event, or broke. `DeadlineExceeded`: it is not by the deadline."""
        if event != self._event:
            self._poll.modify(self._socket, event)
            self._event = event
        # poll takes milliseconds, rounds them up, and has a longest time.
        while (left_s := deadline - time.monotonic()) > 0:
            if self._poll.poll(min(left_s, _LONGEST_POLL_S) * 1e3):
                return
        raise DeadlineExceeded(TOO_LATE)


def _chunks(request: DaemonRequest) -> list[bytes | memoryview]:
    """The bytes of the request, of which none is copied but the head's."""
    message = request.message
    begins, ends = _around_the_length(request.method, request.url, tuple(message.headers.items()))
    return [b"%b%d%b" % (begins, message.length, ends), *message.chunks]


@lru_cache
def _around_the_length(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[bytes, bytes]:
    """The head of a request up to the length of its body, and from there.

    The headers come last and in their order, so that the last one is the end of the head.
    """
    begins = f"{method} {url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return begins.encode("latin-1"), f"\r\n{lines}\r\n".encode("latin-1")


def _unsent(chunks: Sequence[bytes | memoryview], sent: int) -> Sequence[bytes | memoryview]:
    """What is left of the chunks after so many bytes."""
    for index, chunk in enumerate(chunks):
        if sent < len(chunk):
            return [memoryview(chunk)[sent:], *chunks[index + 1 :]]
        sent -= len(chunk)
    return []


def _head(text: str) -> tuple[int, ReplyHeaders, int, bool]:
    """What the lines before the body say: the status, the headers, the body's length, whether the connection is kept.

    ``text``: without the last line break.
    """
    if text.startswith(_USUAL_STATUS + "\r\n"):
        status, is_new, headers = 200, True, ReplyHeaders(text[len(_USUAL_STATUS) :])
    else:
        match = _STATUS.match(text)
        if match is None:
            raise NotHttp(f"it began with {text[:80]!r}")
        status, is_new, headers = int(match[2]), match[1] == "1", ReplyHeaders(text[match.end() :])
    length, connection = headers.get("content-length"), headers.get("connection")
    if length is None or not (
        length.isascii() and length.isdecimal() and len(length) <= _LONGEST_LENGTH and int(length) <= MAX_BODY_BYTES
    ):
        raise NotHttp(f"the length of its body is {length!r:.40}, expected at most {MAX_BODY_BYTES}")
    return status, headers, int(length), is_new and (connection is None or connection.lower() != "close")
