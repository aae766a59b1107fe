"""One HTTP/1.1 connection over a Unix socket: a request goes out, a reply comes in, with as few calls as that takes.

It reads what collabd writes: replies whose headers state the length of the body. Anything else raises `NotHttp`. The
socket never blocks; a connection waits with poll, and never past the deadline.
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

# A reply holds JSON and a few arrays, such as the mask of a photograph of 200 megapixels.
MAX_BODY_BYTES = MAX_JSON_BYTES + 512 * 2**20
# Holds a reply's head, and as a rule the whole answer to a call.
_BUFFER_BYTES = 2**16
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?(?=\r\n|$)")
_USUAL = b"HTTP/1.1 200 OK"
_USUAL_LINE = _USUAL + b"\r\n"
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

    def __init__(self, lines: bytes) -> None:
        """Each line begins with a line break. They are looked through when somebody asks: of most, nobody does."""
        self._lines = lines
        self._names = lines.lower()

    def get(self, name: str, /) -> str | None:
        """The header's value; None: there is none."""
        value = self.after(f"\r\n{name.lower()}:".encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def after(self, named: bytes) -> bytes | None:
        """The value behind a line break, a name in small letters and a colon; None: they are not there."""
        at = self._names.find(named)
        if at < 0:
            return None
        began = at + len(named)
        end = self._lines.find(b"\r\n", began)
        return self._lines[began : None if end < 0 else end].strip()


class KeptConnection:
    """A connection on which one request follows another. ``kept``: whether another may follow the last."""

    def __init__(self, connected: socket.socket) -> None:
        """Takes over a connected socket."""
        connected.setblocking(False)
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._room = memoryview(self._buffer)
        self.kept = True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def broke_while_idle(self) -> bool:
        """Whether the peer hung up (or spoke out of turn) since the last reply."""
        return bool(self._poll.poll(0))

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
        left = sum(map(len, chunks))
        while True:
            try:
                sent = self._socket.sendmsg(chunks[:_MOST_CHUNKS])
            except BlockingIOError:
                self._wait_for_room(deadline)
                continue
            except BrokenPipeError:
                # A daemon that refuses a body closes before it has read it all; the daemon's reply may have arrived.
                return
            left -= sent
            if not left:
                return
            chunks = _behind(chunks, sent)

    def _receive(self, deadline: float) -> DaemonReply:
        buffer, room = self._buffer, self._room
        filled = self._receive_into(room, deadline)
        while (end := buffer.find(_END, 0, filled)) < 0:
            if not buffer.startswith(_BEGINNING[:filled]):
                raise NotHttp(f"it began with {bytes(room[: min(filled, 80)])!r}")
            if filled == _BUFFER_BYTES:
                raise NotHttp(f"its head has more than {_BUFFER_BYTES} bytes")
            filled += self._receive_into(room[filled:], deadline)
        status, headers, length, self.kept = _head(bytes(room[:end]))
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
        while (left_s := deadline - time.monotonic()) > 0:
            # poll takes milliseconds, rounds them up, and has a longest time.
            if not self._poll.poll(min(left_s, _LONGEST_POLL_S) * 1e3):
                continue
            try:
                came = self._socket.recv_into(room)
            except BlockingIOError:
                continue
            if not came:
                raise BrokeOff("it ended before its reply was complete")
            return came
        raise DeadlineExceeded(TOO_LATE)

    def _wait_for_room(self, deadline: float) -> None:
        """Return when the socket takes more, or broke."""
        self._poll.modify(self._socket, select.POLLOUT)
        while (left_s := deadline - time.monotonic()) > 0:
            if self._poll.poll(min(left_s, _LONGEST_POLL_S) * 1e3):
                self._poll.modify(self._socket, select.POLLIN)
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


def _behind(chunks: Sequence[bytes | memoryview], sent: int) -> Sequence[bytes | memoryview]:
    """What is left of the chunks behind so many bytes."""
    for index, chunk in enumerate(chunks):
        if sent < len(chunk):
            return [memoryview(chunk)[sent:], *chunks[index + 1 :]]
        sent -= len(chunk)
    return []


def _head(head: bytes) -> tuple[int, ReplyHeaders, int, bool]:
    """What the lines before the body say: the status, the headers, the body's length, whether the connection is kept.

    ``head``: without the last line break.
    """
    status, version, ended = 200, b"1", len(_USUAL)
    if not head.startswith(_USUAL_LINE):
        match = _STATUS.match(head)
        if match is None:
            raise NotHttp(f"it began with {head[:80]!r}")
        status, version, ended = int(match[2]), match[1], match.end()
    headers = ReplyHeaders(head[ended:])
    length, connection = headers.after(b"\r\ncontent-length:"), headers.after(b"\r\nconnection:")
    if length is None or not (length.isdigit() and len(length) <= _LONGEST_LENGTH and int(length) <= MAX_BODY_BYTES):
        raise NotHttp(f"the length of its body is {length!r:.40}, expected at most {MAX_BODY_BYTES}")
    return status, headers, int(length), version == b"1" and (connection is None or connection.lower() != b"close")
