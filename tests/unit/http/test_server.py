"""The front door, before any request is understood: slow, large, many, ambiguous and deaf peers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest, Overloaded
from collabd.http import server as module
from collabd.http.bodies import BodyPace
from collabd.http.error_replies import error_middleware
from collabd.http.plain import PlainAnswer, PlainRequest, reply_bytes
from collabd.http.server import ConnectionLimits, ConnectionServer, http_runner
from tests.patience import comes_true

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
DEAF = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 32 * 2**20


class House:
    """A server behind the front door; whoever asks for /held is kept until it is let go."""

    def __init__(self, server: ConnectionServer, path: Path) -> None:
        self.server = server
        self.path = path
        self.free = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def peer(self, says: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self.path)
        self._writers.append(writer)
        writer.write(says)
        return reader, writer

    async def peer_over_network(self, says: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Another one than those of the socket, who all are one user of this machine."""
        listener = await asyncio.get_running_loop().create_server(self.server, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        self._writers.append(writer)
        listener.close()
        writer.write(says)
        return reader, writer

    async def hears(self, says: bytes) -> bytes:
        """All that is answered until the connection ends."""
        return await to_the_end((await self.peer(says))[0])

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


# The hook that is to replace it would rename every asynchronous test.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture is deprecated")


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """The daemons run on uvloop, tests and what embeds them on asyncio's loop."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with built(tmp_path) as it:
        yield it


@asynccontextmanager
async def built(tmp_path: Path, plain_answer: PlainAnswer | None = None, **limits: Any) -> AsyncIterator[House]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def held(_: web.Request) -> web.Response:
        await it.free.wait()
        return web.Response(text="let go")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    app = web.Application(middlewares=[error_middleware])
    app.add_routes([web.route("*", "/", answer), web.get("/held", held), web.get("/large", large)])
    async with http_runner(
        app, 1.0, plain_answer=plain_answer, limits=ConnectionLimits(look_s=0.02, **limits)
    ) as runner:
        await web.UnixSite(runner, tmp_path / "sock").start()
        assert isinstance(runner.server, ConnectionServer)
        it = House(runner.server, tmp_path / "sock")
        try:
            yield it
        finally:
            it.free.set()
            it.close()


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            heard += chunk
    return heard


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def test_one_request_after_another_on_one_connection(house: House) -> None:
    reader, writer = await house.peer()
    for _ in range(3):
        writer.write(GET)
        assert b"200 OK" in await head(reader)
        assert await reader.readexactly(4) == b"here"


@pytest.mark.parametrize("says", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_ask_in_time_is_cut_off(tmp_path: Path, says: bytes) -> None:
    async with built(tmp_path, head_s=0.1) as house:
        assert await house.hears(says) == b""
        await comes_true(lambda: not house.server.connections)


async def test_who_asks_a_byte_at_a_time_is_cut_off(tmp_path: Path) -> None:
    async with built(tmp_path, head_s=0.2) as house:
        reader, writer = await house.peer(GET)
        assert b"200 OK" in await head(reader)

        async def trickle() -> None:
            writer.write(b"GET / HTTP/1.1\r\n")
            while True:
                writer.write(b"X")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        assert await to_the_end(reader) == b"here"
        trickling.cancel()


async def test_who_is_served_or_only_idle_is_not(tmp_path: Path) -> None:
    async with built(tmp_path, head_s=0.1) as house:
        served, _ = await house.peer(HELD)
        idle, writer = await house.peer(GET)
        assert b"200 OK" in await head(idle)
        assert await house.hears(b"") == b""  # by then the others' time would have been over
        house.free.set()
        assert b"200 OK" in await head(served)
        writer.write(GET)
        assert await idle.readexactly(4) == b"here"
        assert b"200 OK" in await head(idle)


HEADS: dict[str, bytes] = {
    "an endless line": b"GET /" + b"a" * 5000,
    "an endless name": b"GET / HTTP/1.1\r\n" + b"a" * 5000,
    "an endless value": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5000,
    "a hundred headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: 1\r\n" % turn for turn in range(100)),
}
AMBIGUOUS: dict[str, bytes] = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "one length twice": b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "a list of lengths": b"Content-Length: 4, 4\r\n\r\nbody",
    "a length with a sign": b"Content-Length: +4\r\n\r\nbody",
    "a length in hexadecimal": b"Content-Length: 0x4\r\n\r\nbody",
    "a length beyond all": b"Content-Length: 99999999999999999999999\r\n\r\nbody",
    "chunks that are none at the end": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 4\r\n\r\nbody",
    "a bare line feed": b"Content-Length: 4\n\nbody",
    "a zero byte": b"A: \x00\r\n\r\n",
    "two hosts": b"Host: y\r\n\r\n",
}


@pytest.mark.parametrize("says", HEADS.values(), ids=HEADS)
async def test_what_is_too_large_is_refused_before_it_is_complete(
    house: House, caplog: pytest.LogCaptureFixture, says: bytes
) -> None:
    assert_refused(await house.hears(says))
    assert not caplog.records


@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_what_can_be_read_in_two_ways_is_refused(
    house: House, caplog: pytest.LogCaptureFixture, headers: bytes
) -> None:
    assert_refused(await house.hears(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + GET))
    assert not caplog.records


def assert_refused(answer: bytes) -> None:
    """With one 400, after which nothing more is taken for a request."""
    start, body = answer.split(b"\r\n\r\n")
    assert start.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert isinstance(wire.decode_error(400, body), InvalidRequest)


@pytest.mark.parametrize("says", [b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n", b"\x00\x00\x00"])
async def test_what_is_no_http_is_no_news(house: House, caplog: pytest.LogCaptureFixture, says: bytes) -> None:
    caplog.set_level(logging.INFO)
    assert b"400" in await house.hears(says)
    assert not caplog.records


async def test_a_head_of_many_small_headers_has_an_end(tmp_path: Path) -> None:
    async with built(tmp_path, head_bytes=4096) as house:
        reader, writer = await house.peer(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionError):
            for turn in range(50):
                writer.write(b"A%d: %b\r\n" % (turn, b"a" * 500))
                await writer.drain()
                await asyncio.sleep(0)
            await writer.drain()
        assert await to_the_end(reader) == b""


async def test_requests_sent_ahead_are_served_but_not_a_flood(house: House) -> None:
    reader, _ = await house.peer(GET * 3)
    for _ in range(3):
        assert b"200 OK" in await head(reader)
        await reader.readexactly(4)
    assert await house.hears(HELD * 30) == b""


async def test_who_does_not_take_its_reply_is_cut_off(tmp_path: Path) -> None:
    async with built(tmp_path, reply_pace=BodyPace(0.2, 1e12)) as house:
        reader, _ = await house.peer(DEAF)
        await head(reader)
        await comes_true(lambda: not house.server.connections)


async def test_who_takes_it_slowly_is_not(house: House) -> None:
    reader, _ = await house.peer(DEAF)
    await head(reader)
    assert len(await reader.readexactly(LARGE)) == LARGE


async def test_a_closed_connection_whose_peer_takes_nothing_is_not_kept(house: House) -> None:
    reader, _ = await house.peer(DEAF.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await head(reader)
    (connection,) = connections(house)
    # From now on, so that it is the closing alone that is in time or not.
    connection._limits = ConnectionLimits(reply_pace=BodyPace(0.2, 1e12))
    connection.force_close()
    await comes_true(lambda: not house.server.connections)


async def test_silent_peers_make_room_for_those_who_ask(tmp_path: Path) -> None:
    async with built(tmp_path, connections=8) as house:
        for _ in range(30):
            await house.peer()
            await comes_true(lambda: len(house.server.connections) <= 5)
        reader, _ = await house.peer(GET)
        assert b"200 OK" in await head(reader)


async def test_of_many_who_come_at_once_the_last_finds_room(tmp_path: Path) -> None:
    async with built(tmp_path, connections=8) as house:
        # Sockets of the operating system do not let the server's loop run in between.
        silent = [socket.socket(socket.AF_UNIX) for _ in range(30)]
        for peer in silent:
            peer.connect(str(house.path))
        reader, _ = await house.peer(GET)
        assert b"200 OK" in await head(reader)
        for peer in silent:
            peer.close()


async def test_of_those_who_are_idle_the_unproven_go_first(tmp_path: Path) -> None:
    async with built(tmp_path, connections=8) as house:
        good, writer = await house.peer(GET)
        assert b"200 OK" in await head(good)
        for _ in range(10):
            await house.peer()
            await asyncio.sleep(0.01)
        writer.write(GET)
        assert await good.readexactly(4) == b"here"
        assert b"200 OK" in await head(good)


async def test_where_all_are_busy_the_next_is_told_to_come_back(tmp_path: Path) -> None:
    async with built(tmp_path, connections=8) as house:
        for _ in range(4):
            await house.peer(HELD)
        await comes_true(lambda: sum(not connection.waits_for_request for connection in connections(house)) == 4)
        answer = await house.hears(b"")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert isinstance(wire.decode_error(503, answer.split(b"\r\n\r\n")[1]), Overloaded)


async def test_one_peer_leaves_the_half_to_others(tmp_path: Path) -> None:
    async with built(tmp_path, connections=8) as house:
        for _ in range(4):
            await house.peer(HELD)
        await comes_true(lambda: sum(not connection.waits_for_request for connection in connections(house)) == 4)
        reader, _ = await house.peer_over_network(GET)
        assert b"200 OK" in await head(reader)


PLAIN = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"


class Inside:
    """Answers plain requests with their bodies; the body "h" is held until it is let go."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.free = asyncio.Event()

    async def __call__(self, request: PlainRequest, date: str) -> bytes:
        self.begun += 1
        try:
            if bytes(request.body) == b"h":
                await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return reply_bytes(HTTPStatus.OK, {}, [request.body], date=date)


async def body(reader: asyncio.StreamReader) -> bytes:
    said = await head(reader)
    assert said.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    return await reader.readexactly(1)


async def held_up(house: House, inside: Inside) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer whose plain request is being answered; its connection has served another before."""
    before = inside.begun
    reader, writer = await house.peer(GET)
    await reader.readuntil(b"here")
    writer.write(PLAIN + b"h")
    await comes_true(lambda: inside.begun > before)
    return reader, writer


async def test_plain_requests_and_others_follow_one_another(tmp_path: Path) -> None:
    inside = Inside()
    async with built(tmp_path, inside) as house:
        reader, writer = await house.peer(GET)
        for number in (b"1", b"2"):
            assert (await head(reader)).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(4) == b"here"
            writer.write(PLAIN + number)
            assert await body(reader) == number
            writer.write(GET)
    assert inside.begun == 2


async def test_what_comes_behind_a_plain_request_waits_for_its_answer(tmp_path: Path) -> None:
    inside = Inside()
    async with built(tmp_path, inside) as house:
        reader, writer = await held_up(house, inside)
        writer.write(PLAIN + b"2")
        await asyncio.sleep(0.02)
        writer.write(GET)
        await asyncio.sleep(0.02)
        assert inside.begun == 1
        inside.free.set()
        assert await body(reader) == b"h"
        assert await body(reader) == b"2"
        assert (await head(reader)).startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(4) == b"here"


async def test_who_hangs_up_needs_no_answer(tmp_path: Path) -> None:
    inside = Inside()
    async with built(tmp_path, inside) as house:
        _, writer = await held_up(house, inside)
        writer.close()
        await comes_true(lambda: inside.cancelled == 1)
        await comes_true(lambda: not house.server.connections)


async def test_who_is_answered_does_not_make_room(tmp_path: Path) -> None:
    inside = Inside()
    async with built(tmp_path, inside, connections=8) as house:
        held = [await held_up(house, inside) for _ in range(4)]
        assert (await house.hears(b"")).startswith(b"HTTP/1.1 503")
        inside.free.set()
        assert [await body(reader) for reader, _ in held] == [b"h"] * 4


async def test_stopping_waits_for_the_answer(tmp_path: Path) -> None:
    inside = Inside()
    async with built(tmp_path, inside) as house:
        reader, _ = await held_up(house, inside)
        asyncio.get_running_loop().call_later(0.05, inside.free.set)
        house.server.pre_shutdown()
        await house.server.shutdown(10)
        assert await body(reader) == b"h"
        assert await reader.read() == b""
    assert inside.cancelled == 0


def connections(house: House) -> list[module.Connection]:
    return [connection for connection in house.server.connections if isinstance(connection, module.Connection)]
