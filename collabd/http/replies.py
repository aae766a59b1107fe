"""Reads the reply to an HTTP request (RFC 9112) from bytes that are not trusted, however they are cut into pieces."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from multidict import CIMultiDict

_MOST_HEAD_BYTES = 32 * 1024
# The length of a chunk, with its extensions.
_MOST_LINE_BYTES = 1024
_BLANK_LINE = b"\r\n\r\n"
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n\0]*?)[ \t]*", re.ASCII)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")
_WITHOUT_BODY = frozenset({204, 304})

_Bytes: TypeAlias = Generator[None, None, bytes]


class BrokenReply(Exception):
    """What came is no reply. The message is one plain line."""


class NoReply(BrokenReply):
    """The connection was closed before the head of a reply was complete."""


class ReplyTooLarge(BrokenReply):
    """The body has more bytes than it may have."""


@dataclass(frozen=True, kw_only=True)
class HttpReply:
    """A reply. `keeps`: whether the connection is as good as new after it."""

    status: int
    headers: CIMultiDict[str]
    body: bytes
    keeps: bool


class ReplyReader:
    """Reads one reply, whose body may have at most `most_bytes` bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._came = bytearray()
        self._ended = False
        self._in_body = False
        self._steps = self._read()

    def feed(self, data: bytes) -> HttpReply | None:
        """Take in what came; the reply once it is complete. Raises `BrokenReply`."""
        self._came += data
        return self._step()

    def end(self) -> HttpReply | None:
        """The connection was closed: the reply, if only that ends it. Raises `BrokenReply`."""
        self._ended = True
        return self._step()

    def abandon(self) -> None:
        """Nobody asks it again. Its steps refer to it, and only the garbage collector would free the two."""
        del self._steps

    def _step(self) -> HttpReply | None:
        try:
            next(self._steps)
        except StopIteration as complete:
            reply: HttpReply = complete.value
            return reply
        return None

    def _read(self) -> Generator[None, None, HttpReply]:
        keeps, status, headers = yield from self._head()
        while status < 200:
            keeps, status, headers = yield from self._head()
        self._in_body = True
        length, in_chunks = _framing(headers)
        if status in _WITHOUT_BODY:
            body = b""
        elif in_chunks:
            body = yield from self._chunks()
        elif length is not None:
            body = yield from self._exactly(length)
        else:
            keeps = False
            body = yield from self._rest()
        keeps = keeps and not self._came and "close" not in headers.get("Connection", "").lower()
        return HttpReply(status=status, headers=headers, body=body, keeps=keeps)

    def _head(self) -> Generator[None, None, tuple[bool, int, CIMultiDict[str]]]:
        head = yield from self._up_to(_BLANK_LINE, _MOST_HEAD_BYTES)
        first, *lines = head.decode("latin-1").split("\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise BrokenReply(f"this is no HTTP reply: {first[:80]!r}")
        fields = [_FIELD.fullmatch(line) for line in lines]
        headers = CIMultiDict((field[1], field[2]) for field in fields if field is not None)
        if len(headers) < len(lines):
            raise BrokenReply("a header of the reply is malformed")
        return status[1] == "1", int(status[2]), headers

    def _chunks(self) -> _Bytes:
        body = bytearray()
        while True:
            line = yield from self._up_to(b"\r\n", _MOST_LINE_BYTES)
            chunk = _CHUNK.fullmatch(line)
            if chunk is None:
                raise BrokenReply("the reply has a chunk without a length")
            length = int(chunk[1], 16)
            if not length:
                break
            body += yield from self._exactly(length, before=len(body))
            if (yield from self._exactly(2)) != b"\r\n":
                raise BrokenReply("a chunk of the reply has another length than it states")
        while (yield from self._up_to(b"\r\n", _MOST_LINE_BYTES)):
            pass  # the trailer
        return bytes(body)

    def _exactly(self, length: int, before: int = 0) -> _Bytes:
        """The next `length` bytes, of a body that had `before` bytes before them."""
        if before + length > self._most_bytes:
            raise self._too_large()
        while len(self._came) < length:
            yield from self._more()
        return self._taken(length)

    def _rest(self) -> _Bytes:
        while len(self._came) <= self._most_bytes:
            if self._ended:
                return self._taken(len(self._came))
            yield
        raise self._too_large()

    def _up_to(self, end: bytes, most_bytes: int) -> _Bytes:
        """The bytes before `end`, which is taken away with them."""
        while (at := self._came.find(end)) < 0:
            if len(self._came) > most_bytes:
                raise BrokenReply("the reply has too long a head or line")
            yield from self._more()
        found = self._taken(at)
        del self._came[: len(end)]
        return found

    def _more(self) -> Generator[None, None, None]:
        if self._ended:
            if self._in_body:
                raise BrokenReply("the connection was closed in the middle of an answer")
            raise NoReply("the connection was closed before an answer came")
        yield

    def _taken(self, length: int) -> bytes:
        with memoryview(self._came) as view:
            taken = bytes(view[:length])
        del self._came[:length]
        return taken

    def _too_large(self) -> ReplyTooLarge:
        return ReplyTooLarge(f"the reply has more than {self._most_bytes} bytes")


def _framing(headers: CIMultiDict[str]) -> tuple[int | None, bool]:
    """The length that the body states, and whether it comes in chunks. A reply that can be read in two ways is none."""
    lengths, coding = set(headers.getall("Content-Length", ())), headers.getall("Transfer-Encoding", ())
    if coding:
        if lengths or [each.lower() for each in coding] != ["chunked"]:
            raise BrokenReply("the length of the reply is not clear")
        return None, True
    if not lengths:
        return None, False
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise BrokenReply("the length of the reply is not clear")
    return int(length), False
