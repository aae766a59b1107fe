"""Replies are read the same however they are cut into pieces, and what is no reply is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collabd.http.replies import BrokenReply, HttpReply, NoReply, ReplyReader, ReplyTooLarge

MOST = 20
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nX-Word:  a b \r\n\r\nanswer"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nansw\r\n002;name=value\r\ner\r\n0\r\nTrailer: x\r\n\r\n"
)


def read(data: bytes, piece: int = 1 << 20, *, ends: bool = False, most_bytes: int = MOST) -> HttpReply | None:
    """The reply in `data`, which comes in pieces of this many bytes. `ends`: then the connection is closed."""
    reader = ReplyReader(most_bytes)
    for start in range(0, len(data), piece):
        reply = reader.feed(data[start : start + piece])
        if reply is not None:
            return reply
    return reader.end() if ends else None


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (PLAIN, True),
        (CHUNKED, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN, True),
        (PLAIN.replace(b"X-Word", b"Connection: Close\r\nX"), False),
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (PLAIN.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 200"), True),
        (PLAIN.replace(b"X-Word: ", b"Content-Length: 6\r\nX:"), True),
    ],
)
def test_a_reply_is_the_same_in_any_pieces(data: bytes, keeps: bool, piece: int) -> None:
    reply = read(data, piece)
    assert reply is not None
    assert (reply.status, reply.body, reply.keeps) == (200, b"answer", keeps)


def test_the_names_of_headers_have_no_case_and_their_values_no_space_around_them() -> None:
    reply = read(PLAIN)
    assert reply is not None
    assert (reply.headers["CONTENT-LENGTH"], reply.headers.get("x-word")) == ("6", "a b")


@pytest.mark.parametrize("status", [204, 304])
def test_a_reply_without_a_body(status: int) -> None:
    reply = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert reply is not None
    assert (reply.status, reply.body, reply.keeps) == (status, b"", True)


@pytest.mark.parametrize("piece", [1, 1000])
def test_without_a_length_the_end_of_the_connection_ends_the_reply(piece: int) -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nanswer"
    assert read(data, piece) is None
    reply = read(data, piece, ends=True)
    assert reply is not None
    assert (reply.body, reply.keeps) == (b"answer", False)


def test_what_comes_behind_a_reply_leaves_its_connection_unusable() -> None:
    reply = read(PLAIN + b"HTTP/1.1 200 OK\r\n")
    assert reply is not None
    assert (reply.body, reply.keeps) == (b"answer", False)


def with_headers(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", "answer"]).encode("latin-1")


def broken() -> Iterator[tuple[str, bytes]]:
    yield "other protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    yield "other version", b"HTTP/2.0 200 OK\r\n\r\n"
    yield "no status", b"HTTP/1.1 OK\r\n\r\n"
    yield "a header without a colon", with_headers("Content-Length 6")
    yield "a folded header", with_headers("X: a", " b", "Content-Length: 6")
    yield "a space before the colon", with_headers("Content-Length : 6")
    yield "a bare line feed", with_headers("X: a\nContent-Length: 6")
    yield "a zero byte", with_headers("X: a\0b", "Content-Length: 6")
    yield "two lengths", with_headers("Content-Length: 6", "Content-Length: 5")
    yield "a length and chunks", with_headers("Content-Length: 6", "Transfer-Encoding: chunked")
    yield "another coding", with_headers("Transfer-Encoding: gzip, chunked")
    yield "two codings", with_headers("Transfer-Encoding: gzip", "Transfer-Encoding: chunked")
    yield "a negative length", with_headers("Content-Length: -6")
    yield "a length in words", with_headers("Content-Length: six")
    yield "a length of other digits", with_headers("Content-Length: \u00b2")
    yield "a chunk without a length", CHUNKED.replace(b"4\r\n", b"x\r\n")
    yield "a negative chunk", CHUNKED.replace(b"4\r\n", b"-4\r\n")
    yield "a chunk that is longer than it says", CHUNKED.replace(b"answ", b"answer")
    yield "a head without end", with_headers("X: " + 40_000 * "a").partition(b"\r\n\r\n")[0]
    yield "a line without end", CHUNKED.replace(b"name=value", 2_000 * b"a").partition(b"\r\ner")[0]


BROKEN = dict(broken())


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_reply_is_refused(kind: str, piece: int) -> None:
    with pytest.raises(BrokenReply):
        read(BROKEN[kind], piece)


@pytest.mark.parametrize(
    "data",
    [
        with_headers("Content-Length: 21"),
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(21),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 21 * b"1\r\n.\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n",
    ],
)
def test_a_body_that_is_too_large_is_refused_as_soon_as_that_is_known(data: bytes) -> None:
    with pytest.raises(ReplyTooLarge, match="more than 20 bytes"):
        read(data)


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED])
def test_a_reply_that_breaks_off_says_where(whole: bytes) -> None:
    body = whole.index(b"\r\n\r\n") + 4
    for length in range(len(whole)):
        with pytest.raises(BrokenReply, match="before an answer" if length < body else "the middle") as raised:
            read(whole[:length], ends=True)
        assert isinstance(raised.value, NoReply) == (length < body)
