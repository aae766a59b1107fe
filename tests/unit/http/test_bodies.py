"""Bodies: too large, too slow, compressed, announced, and read in the door."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collab_sdk import wire
from collab_sdk.errors import Overloaded
from collabd.http.bodies import BODY, NETWORK, BodyPace
from collabd.http.error_replies import error_middleware
from collabd.http.protocol import InferenceProtocol, OpenDoor
from tests.unit.http.conftest import LIMIT, Client, Echo, infer, refused, request


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_bodies_are_unpacked(client: Client, encoding: str, pack: Any) -> None:
    message = wire.encode_request(request())
    status, body, _ = await infer(client, pack(message.body()), message.headers | {"Content-Encoding": encoding})
    assert status == 200
    assert json.loads(body)["outputs"][0]["shape"] == [2, 3]


@pytest.mark.parametrize("body", [bytes(LIMIT + 1), b"[" * (LIMIT + 1)])
async def test_too_many_bytes_are_413(client: Client, body: bytes) -> None:
    error = await refused(client, body)
    assert (error.code, error.http_status) == ("request_too_large", 413)
    assert error.details == {"limit_bytes": LIMIT}
    assert "send a picture as its file" in str(error)


async def test_a_body_of_no_stated_length_is_bounded_too(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1000)

    reply = await client.post("/v2/models/echo/infer", data=endless())
    assert reply.status == 413


async def test_a_small_body_that_unpacks_to_a_large_one_is_413(client: Client) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) > LIMIT  # the stated length is refused at once ...
    assert (await refused(client, bomb, {"Content-Encoding": "gzip"})).http_status == 413
    small = gzip.compress(bytes(LIMIT * 100))
    assert len(small) < LIMIT  # ... and the unpacked one as it grows
    assert (await refused(client, small, {"Content-Encoding": "gzip"})).http_status == 413


HEAD = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
QUICK = BodyPace(stalled_s=0.3, bytes_per_s=1e6)
Speaker = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def speaking(plane: Echo, **options: Any) -> AsyncIterator[Speaker]:
    """A bare connection to a server of its own."""
    app = web.Application(middlewares=[error_middleware])
    app.add_routes(InferenceProtocol(plane, LIMIT, **options).routes())
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def test_a_peer_that_sends_no_more_is_given_up(plane: Echo) -> None:
    async with speaking(plane, pace=QUICK) as (reader, writer):
        writer.write(HEAD % 100 + b"\r\n{")
        assert b" 408 " in await head(reader)


async def test_a_peer_that_sends_a_byte_now_and_then_is_given_up(plane: Echo) -> None:
    async def trickle() -> None:
        while True:
            writer.write(b"[")
            await asyncio.sleep(0.02)

    async with speaking(plane, pace=QUICK) as (reader, writer):
        writer.write(HEAD % LIMIT + b"\r\n")
        trickling = asyncio.create_task(trickle())
        answer = await head(reader)
        trickling.cancel()
        assert b" 408 " in answer


@pytest.mark.parametrize("kilobytes", [1, 50, 500])
def test_a_link_of_10_kbit_a_second_is_fast_enough(kilobytes: int) -> None:
    for received in range(0, kilobytes * 1000, 100):
        assert received / 1250 < NETWORK.most_s(received)


async def test_who_asks_first_is_told_when_its_body_is_read(plane: Echo) -> None:
    message = wire.encode_request(request())
    ask = HEAD % message.length + b"%b: %b\r\nExpect: 100-continue\r\n\r\n" % (
        wire.HEADER_LENGTH.encode(),
        message.headers[wire.HEADER_LENGTH].encode(),
    )
    async with speaking(plane) as (reader, writer):
        writer.write(ask)
        assert await head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(message.body())
        assert b" 200 " in await head(reader)


def shut(_: web.Request) -> OpenDoor:
    raise Overloaded("full")


@pytest.mark.parametrize(("length", "status"), [(10, b" 503 "), (LIMIT + 1, b" 413 ")])
async def test_who_asks_first_is_refused_before_the_body(plane: Echo, length: int, status: bytes) -> None:
    async with speaking(plane, door=shut) as (reader, writer):
        writer.write(HEAD % length + b"Expect: 100-continue\r\n\r\n")
        answer = await head(reader)
        assert status in answer
        # It will not send the body, so that what follows could be taken for it.
        assert b"Connection: close" in answer


async def test_a_body_is_read_in_the_door_and_by_nobody_whom_it_refuses(plane: Echo) -> None:
    seen: list[bool] = []

    class Watched(OpenDoor):
        def __call__(self, request: web.Request) -> OpenDoor:
            self.request = request
            return self

        def __enter__(self) -> Self:
            seen.append(BODY in self.request)
            return self

        def __exit__(self, *_: object) -> None:
            seen.append(BODY in self.request)

    message = wire.encode_request(request())
    async with speaking(plane, door=Watched(plane)) as (reader, writer):
        writer.write(HEAD % message.length)
        writer.write(f"{wire.HEADER_LENGTH}: {message.headers[wire.HEADER_LENGTH]}\r\n\r\n".encode())
        writer.write(message.body())
        assert b" 200 " in await head(reader)
    assert seen == [False, True]
