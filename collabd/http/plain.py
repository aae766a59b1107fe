"""Inference requests in their plainest form, read and answered without aiohttp, which takes several times as long.

A plain request comes in one piece, names its model in ASCII, states its length, and has no header that changes how it
must be read or answered. What is not plain in any way is left to aiohttp; nothing is refused here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

from collab_sdk import wire

BEGINNING = b"POST /v2/models/"
# Names its model in ASCII, and no version.
PLAIN_PATH = re.compile(r"/v2/models/([A-Za-z0-9._-]+)/infer")
_LINE = re.compile(rf"POST {PLAIN_PATH.pattern} HTTP/1\.1")
_HEADER = re.compile(r"([A-Za-z-]+):[ \t]*([ -~]*?)[ \t]*")
_LENGTH = re.compile(r"[0-9]{1,9}")
_END = b"\r\n\r\n"
# Clients of ours send 300 bytes. A longer head is not kept.
_MOST_HEAD_BYTES = 1024
_KEPT_HEADS = 64
# Neither these nor the protocol's own headers change how a request is read or answered.
_HARMLESS = frozenset(
    {"host", "content-length", "content-type", "user-agent", "accept", "accept-encoding", "connection", "authorization"}
)
_KEEPS = "keep-alive"
_HEADER_LENGTH = wire.HEADER_LENGTH.lower()
_OWN = frozenset({_HEADER_LENGTH, wire.WAITED_MS.lower(), wire.CALLER_MS.lower(), wire.PATIENCE_MS.lower()})


class PlainHeaders:
    """The headers of a request; their names have no case."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        """The names are in lower case."""
        self._values = values

    def get(self, name: str, /) -> str | None:
        """The header's value; None: there is none."""
        return self._values.get(name.lower())


class RequestHead(NamedTuple):
    """What is known of a request before its body. `peer`: who is at the other end, as `http.server` tells them apart.

    `body_bytes`: the most bytes that the body can have.
    """

    headers: wire.Headers
    transport: asyncio.Transport | None
    peer: Hashable
    body_bytes: int


class PlainRequest(NamedTuple):
    """An inference request. `header_length`: of the JSON before its binary tensors; None: it has none."""

    model: str
    header_length: int | None
    head: RequestHead
    body: memoryview


# Takes a request and the date. Returns the whole reply, as bytes for the connection; raises nothing but cancellation.
PlainAnswer: TypeAlias = Callable[[PlainRequest, str], Awaitable[bytes]]


class _PlainHead(NamedTuple):
    model: str
    headers: PlainHeaders
    body_bytes: int
    header_length: int | None


def plain_request(data: bytes, transport: asyncio.Transport, peer: Hashable) -> PlainRequest | None:
    """The request that `data` is, from its first byte to its last; None: it is not plain, or not whole."""
    end = data.find(_END, 0, _MOST_HEAD_BYTES) + len(_END)
    head = _head(data[:end]) if end >= len(_END) else None
    if head is None or len(data) - end != head.body_bytes:
        return None
    known = RequestHead(head.headers, transport, peer, head.body_bytes)
    return PlainRequest(head.model, head.header_length, known, memoryview(data)[end:])


def reply_bytes(
    status: HTTPStatus, headers: Mapping[str, str], chunks: Sequence[bytes | memoryview], *, date: str
) -> bytes:
    """The reply as it goes to the connection; `date` as in RFC 9110, section 5.6.7."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    length = sum(map(len, chunks))
    head = f"HTTP/1.1 {status} {status.phrase}\r\nDate: {date}\r\n{lines}Content-Length: {length}\r\n\r\n"
    return b"".join([head.encode("latin-1"), *chunks])


# The same client sends the same head again and again.
@lru_cache(_KEPT_HEADS)
def _head(data: bytes) -> _PlainHead | None:
    """The head in `data`, which ends with an empty line; None: it is not that of a plain request."""
    first, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    asked, headers = _LINE.fullmatch(first), [_HEADER.fullmatch(line) for line in lines]
    values = {header[1].lower(): header[2] for header in headers if header is not None}
    if asked is None or len(values) < len(headers) or not values.keys() <= _HARMLESS | _OWN or "host" not in values:
        return None
    lengths = values.get("content-length", ""), values.get(_HEADER_LENGTH, "0")
    if not all(map(_LENGTH.fullmatch, lengths)) or values.get("connection", _KEEPS).lower() != _KEEPS:
        return None
    body_bytes, header_length = map(int, lengths)
    own = header_length if _HEADER_LENGTH in values else None
    return _PlainHead(asked[1], PlainHeaders(values), body_bytes, own)
