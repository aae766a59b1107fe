"""Which requests are read without aiohttp, and that they are answered as aiohttp's are."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk import wire
from collabd.http.plain import PlainRequest, plain_request

LINE = b"POST /v2/models/tiny-1.0_x/infer HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
NOWHERE = cast("asyncio.Transport", None)


def read(data: bytes) -> PlainRequest | None:
    return plain_request(data, NOWHERE, "somebody")


def asked(*headers: bytes, line: bytes = LINE, body: bytes = b"{}") -> bytes:
    return line + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def test_all_that_it_says_is_known() -> None:
    length = wire.HEADER_LENGTH.encode()
    waited, caller = wire.WAITED_MS.encode(), wire.CALLER_MS.lower().encode()
    headers = length + b": 2", waited + b":\t1500", caller + b": 2.5 "
    found = read(asked(b"host:x", b"Content-Length: 5", *headers, body=b"{}abc"))
    assert found is not None
    assert (found.model, found.header_length, bytes(found.body)) == ("tiny-1.0_x", 2, b"{}abc")
    assert (found.head.body_bytes, found.head.peer, found.head.transport) == (5, "somebody", NOWHERE)
    assert (wire.waited_s(found.head.headers), wire.caller_s(found.head.headers)) == (1.5, 0.0025)
    assert found.head.headers.get("HOST") == "x"
    assert found.head.headers.get("Accept") is None


PLAIN = b"Host: x", b"Content-Length: 2"
OTHERS: dict[str, bytes] = {
    "not whole": asked(*PLAIN, body=b"{"),
    "more than one": asked(*PLAIN) * 2,
    "no head": b"POST /v2/models/tiny/infer",
    "a get": asked(*PLAIN, line=b"GET /v2/models/tiny/infer HTTP/1.1\r\n"),
    "HTTP/1.0": asked(*PLAIN, line=b"POST /v2/models/tiny/infer HTTP/1.0\r\n"),
    "a version": asked(*PLAIN, line=b"POST /v2/models/tiny/versions/1/infer HTTP/1.1\r\n"),
    "an encoded name": asked(*PLAIN, line=b"POST /v2/models/tin%79/infer HTTP/1.1\r\n"),
    "a query": asked(*PLAIN, line=b"POST /v2/models/tiny/infer?x=1 HTTP/1.1\r\n"),
    "no host": asked(b"Content-Length: 2"),
    "no length": asked(b"Host: x"),
    "two lengths": asked(*PLAIN, b"Content-Length: 2"),
    "a signed length": asked(b"Host: x", b"Content-Length: +2"),
    "a length of other digits": asked(b"Host: x", "Content-Length: ٢".encode()),
    "chunks": asked(*PLAIN, b"Transfer-Encoding: chunked"),
    "compressed": asked(*PLAIN, b"Content-Encoding: gzip"),
    "an expectation": asked(*PLAIN, b"Expect: 100-continue"),
    "the last one": asked(*PLAIN, b"Connection: close"),
    "an upgrade": asked(*PLAIN, b"Connection: Upgrade", b"Upgrade: h2c"),
    "a header of others": asked(*PLAIN, b"X-Forwarded-For: y"),
    "a folded header": asked(*PLAIN, b"Accept: a", b" b"),
    "a space before the colon": asked(*PLAIN, b"Accept : a"),
    "no colon": asked(*PLAIN, b"Accept"),
    "a bare line feed": asked(*PLAIN, b"Accept: a\nConnection: close"),
    "a zero byte": asked(*PLAIN, b"Accept: a\0"),
    "a length of JSON that is none": asked(*PLAIN, wire.HEADER_LENGTH.encode() + b": two"),
    "a long head": asked(*PLAIN, b"Accept: " + b"a" * 1024),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_is_not_plain_is_left_to_others(data: bytes) -> None:
    assert read(data) is None


PIECES = st.sampled_from(
    [
        *(b"Host: x", b"Content-Length: 2", b"content-length:2", b"Content-Length: 3", b"Accept: */*", b"Accept:"),
        *(b"Connection: keep-alive", b"Connection: close", b"Expect: 100-continue", b"Transfer-Encoding: chunked"),
        *(b"Host : x", b"Ho\xe4st: x", b"Accept: \xe4", b"Accept: a\tb", b"Host: x\r", b"User-Agent: a b", b" folded"),
        *(b"", b"\n", b"Collab-Caller-Ms: 1"),
    ]
)


@given(st.lists(PIECES, max_size=6), st.sampled_from([b"{}", b"{}x", b""]))
def test_who_is_plain_is_read_as_aiohttp_reads_it(headers: list[bytes], body: bytes) -> None:
    data = asked(b"Host: x", b"Content-Length: 2", *headers, body=body)
    found = read(data)
    if found is None:
        return
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        ((message, payload),), _, rest = parser.feed_data(data)
        assert (message.method, message.path, rest) == ("POST", f"/v2/models/{found.model}/infer", b"")
        assert not message.should_close
        assert not message.chunked
        assert message.compression is None
        assert payload.read_nowait() == bytes(found.body)
        assert all(found.head.headers.get(name) == value for name, value in message.headers.items())
    finally:
        loop.close()
