"""One HTTP/1.1 connection over a Unix socket: a request goes out, a reply comes in, with as few calls as that takes.

It reads what collabd writes: replies whose headers state the length of the body. Anything else raises `NotHttp`. The
socket never blocks; only `_Patience` waits, and never past the deadline.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from collab_sdk._message import MAX_JSON_BYTES
from collab_sdk.errors import DeadlineExceeded
from collab_sdk.transport import TOO_LATE, DaemonReply, DaemonRequest

# A reply holds JSON and a row of scores.
MAX_BODY_BYTES = 4 * MAX_JSON_BYTES
# Holds a reply's head, and as a rule the whole answer to a call.
_BUFFER_BYTES = 2**16
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?(?=\r\n|$)")
_LENGTH = re.compile(r"[0-9]{1,12}")
_BEGINNING = b"HTTP/1."
_END = b"\r\n\r\n"
_LONGEST_POLL_S = 1e6
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


class _Head(NamedTuple):
    status: int
    headers: ReplyHeaders
    length: int
    keeps_open: bool


class KeptConnection:
    """A connection on which one request follows another. ``kept``: whether another may follow the last."""

    def __init__(self, connected: socket.socket) -> None:
        """Takes over a connected socket."""
        connected.setblocking(False)
        self._socket = connected
        self._patience = _Patience(connected)
        self._buffer = bytearray(_BUFFER_BYTES)
        self.kept = True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def broke_while_idle(self) -> bool:
        """Whether the peer hung up (or spoke out of turn) since the last reply."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def exchange(self, request: DaemonRequest, deadline: float) -> DaemonReply:
        """The reply to the request, by the deadline (a time of `time.monotonic`).

        `DeadlineExceeded`, `NotHttp`, `BrokeOff`. After an error the connection is of no more use.
        """
        try:
            # A daemon that refuses a body closes before it has read it all; the daemon's reply may have arrived.
            with suppress(BrokenPipeError):
                self._send(_chunks(request), deadline)
            return self._receive(deadline)
        except ConnectionError as error:
            raise BrokeOff(str(error)) from error

    def _send(self, chunks: deque[memoryview], deadline: float) -> None:
        while chunks:
            try:
                sent = self._socket.sendmsg(islice(chunks, _MOST_CHUNKS))
            except BlockingIOError:
                self._patience.wait(select.POLLOUT, deadline)
                continue
            while chunks and sent >= len(chunks[0]):
                sent -= len(chunks.popleft())
            if chunks:
                chunks[0] = chunks[0][sent:]

    def _receive(self, deadline: float) -> DaemonReply:
        buffer, filled, end = self._buffer, 0, -1
        while end < 0:
            if filled == len(buffer):
                raise NotHttp(f"its head has more than {_BUFFER_BYTES} bytes")
            filled += self._receive_into(memoryview(buffer)[filled:], deadline)
            if not buffer.startswith(_BEGINNING[:filled]):
                raise NotHttp(f"it began with {bytes(memoryview(buffer)[: min(filled, 80)])!r}")
            end = buffer.find(_END, 0, filled)
        head = _head(str(memoryview(buffer)[:end], "latin-1"))
        self.kept = head.keeps_open
        began = end + len(_END)
        # What comes behind the body would be taken for the next reply.
        if (there := filled - began) > head.length:
            raise NotHttp("its body is longer than it said")
        if there == head.length:
            return DaemonReply(head.status, bytes(memoryview(buffer)[began:filled]), head.headers)
        body = bytearray(head.length)
        body[:there] = memoryview(buffer)[began:filled]
        rest = memoryview(body)[there:]
        while rest:
            rest = rest[self._receive_into(rest, deadline) :]
        return DaemonReply(head.status, bytes(body), head.headers)

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


def _chunks(request: DaemonRequest) -> deque[memoryview]:
    """The bytes of the request, of which none is copied but the head's."""
    message = request.message
    headers = message.headers | {"Host": "localhost", "Content-Length": str(message.length)}
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{request.method} {request.url} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    return deque(memoryview(chunk) for chunk in (head, *message.chunks) if chunk)


def _head(text: str) -> _Head:
    """What the lines before the body say, without the last line break."""
    status = _STATUS.match(text)
    if status is None:
        raise NotHttp(f"it began with {text[:80]!r}")
    headers = ReplyHeaders(text[status.end() :])
    length, connection = headers.get("Content-Length"), headers.get("Connection")
    if length is None or not (_LENGTH.fullmatch(length) and int(length) <= MAX_BODY_BYTES):
        raise NotHttp(f"the length of its body is {length!r:.40}, expected at most {MAX_BODY_BYTES}")
    keeps_open = status[1] == "1" and (connection is None or connection.lower() != "close")
    return _Head(int(status[2]), headers, int(length), keeps_open)
