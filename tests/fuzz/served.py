"""Runs a daemon in this process and compares its replies to raw bytes with the promises of HTTP and of collabd."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.fuzz import message
from tests.fuzz.quiet import QuietLoop, exchange

WORDS = (
    *("GET ", "POST ", "PUT ", "HEAD ", " HTTP/1.1\r\n", "\r\n\r\n", "/v2/models/tiny/infer", "/collab/v1/status"),
    *("Content-Length: ", "Transfer-Encoding: chunked", "Expect: 100-continue", "Content-Encoding: gzip"),
    *("Inference-Header-Content-Length: ", "Connection: close", "?budget=", "?last=", "Host: ", "Upgrade: h2c"),
)
PATHS = (
    *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/versions/1/ready", "/metrics"),
    *("/collab/v1/status", "/v2/repository/index", "/nowhere"),
)
_STATUS = re.compile(rb"HTTP/\d\.\d ([1-5]\d\d) [^\r\n]*\r\n")
_LENGTH = re.compile(rb"^content-length: (\d+)\r?$", re.IGNORECASE | re.MULTILINE)
_FRAMED = re.compile(rb"([A-Z]{1,8}) (/[!-~]{0,400})\n((?:[\w-]{1,60}: [ -~]{0,200}\n)*)\n", re.ASCII)
# Headers that change where a request ends, or when it is answered.
_TELLING = re.compile(rb"^(content-|transfer-|connection|expect|upgrade|host|sec-|http2)", re.IGNORECASE | re.MULTILINE)


class Served:
    """`start` gives a context in which the daemon runs; `connect` a connection to it."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Any]], connect: Callable[[Any], socket.socket]):
        self._loop = QuietLoop()
        asyncio.set_event_loop(self._loop)
        self._errors: list[str] = []
        self._loop.set_exception_handler(lambda _, context: self._errors.append(repr(context)))
        handler = _Errors(self._errors)
        logging.getLogger().addHandler(handler)
        self._context = start()
        self._daemon = self._loop.run(self._context.__aenter__())
        self._connect = connect
        self._loop.run_until_quiet()
        self._tasks = len(asyncio.all_tasks(self._loop))

    def check(self, data: bytes) -> None:
        """Never a defect of the daemon, never a reply that is none; a whole request gets a whole reply."""
        request, method = framed(data[1:]) if data[:1] == b"\1" else (data[1:], None)
        heard = exchange(self._loop, self._connect(self._daemon), request)
        statuses, rest = replies(heard, method)
        assert not self._errors, self._errors.pop()
        assert 500 not in statuses, heard
        if method is not None:
            assert [status for status in statuses if status >= 200], "no reply to a whole request"
            assert not rest, "a reply that is cut short"
        # A peer that hung up must leave no task behind.
        assert len(asyncio.all_tasks(self._loop)) <= self._tasks, asyncio.all_tasks(self._loop)


class _Errors(logging.Handler):
    """What the journal would hear of as a defect."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(self.format(record))


def framed(data: bytes) -> tuple[bytes, bytes | None]:
    """The input as a whole request, and its method; None: only the server can tell what the input is."""
    parts = _FRAMED.match(data)
    if parts is None:
        return data, None
    headers, body = message.split(data[parts.end() :])
    lines = parts[3] + b"".join(f"{name}: {value}\n".encode("latin-1") for name, value in headers.items())
    lines_of_ours = b"Content-Length: %d\nConnection: close\n\n" % len(body)
    head = b"%s %s HTTP/1.1\nHost: x\n%s%s" % (parts[1], parts[2], lines, lines_of_ours)
    return head.replace(b"\n", b"\r\n") + body, None if _TELLING.search(lines) else parts[1]


def replies(heard: bytes, method: bytes | None) -> tuple[list[int], bytes]:
    """The status of each reply, and what is left that is not a whole one. Raises if it does not start as a reply."""
    statuses: list[int] = []
    while heard:
        line = _STATUS.match(heard)
        head, blank, rest = heard.partition(b"\r\n\r\n")
        assert line, heard[:200]
        assert blank, "headers that do not end"
        statuses.append(int(line[1]))
        length = _LENGTH.search(head)
        # The reply to HEAD, or to what the server took for it, has a length and no body.
        if method == b"HEAD" or rest.startswith(b"HTTP/1.") or statuses[-1] < 200:
            heard = rest
        elif length is None or len(rest) < int(length[1]):
            return statuses, heard
        else:
            heard = rest[int(length[1]) :]
    return statuses, b""


def requests(*infers: bytes) -> list[bytes]:
    """Whole requests of every kind, and raw ones that are cut, joined or contradict themselves."""
    whole = [
        *(f"GET {path}\n\n\n".encode() for path in PATHS),
        *(b"POST /v2/models/tiny/infer\n\n" + infer for infer in infers),
        b"POST /v2/models/none/infer\n\n" + infers[0],
    ]
    raw = [framed(each)[0] for each in whole[:3] + whole[-2:]]
    post = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\n"
    raw += [
        raw[-1][:-20],
        post + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n0\r\n\r\n',
        post + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        raw[0].replace(b"Connection: close\r\n", b"") + raw[1],
    ]
    return [*(b"\1" + each for each in whole), *(b"\0" + each for each in raw)]
