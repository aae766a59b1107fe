"""A busy companion says so before the upload, is fair, and stops without leaving a caller waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk import wire
from collab_sdk.errors import NotReady, Overloaded
from collabd.catalog.package.package import Package
from collabd.cloud.call.request_memory import RequestMemory
from tests.integration.cloud.conftest import Companion, Local
from tests.integration.cloud.test_service import begun, held_up, queued, request
from tests.patience import PATIENCE_S

Images = npt.NDArray[np.uint8]


async def raw(companion: Companion, head: str) -> tuple[int, dict[str, str], asyncio.StreamReader]:
    """Status and headers of the first reply to these request lines; the body never comes."""
    host, _, port = companion.address.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    writer.close()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    return int(lines[0].split()[1]), headers, reader


UPLOAD = "POST /v2/models/branchy/infer HTTP/1.1\nHost: x\nContent-Length: 9000000"


@pytest.mark.parametrize("expect", ["", "\nExpect: 100-continue"])
async def test_a_full_queue_is_told_before_the_upload(
    start: Callable[..., Any], package: Package, images: Images, expect: str
) -> None:
    async with start(package.path.parent, batching={"queue": 1}) as companion:
        release = held_up(companion)
        calls = [asyncio.create_task(companion.infer("branchy", request(images[:1])))]
        await begun(companion, 1)
        calls.append(asyncio.create_task(companion.infer("branchy", request(images[:1]))))
        await queued(companion, 1)
        status, headers, _ = await raw(companion, UPLOAD + expect)
        assert (status, headers["retry-after"]) == (503, "1")
        assert wire.REQUEST_CHECKSUM.lower() not in headers
        release.set()
        await asyncio.gather(*calls)
        status, _, _ = await raw(companion, UPLOAD + "\nExpect: 100-continue")
        assert status == 100


async def test_a_call_that_would_wait_longer_than_it_wants_is_refused_before_the_upload(
    start: Callable[..., Any], package: Package, images: Images
) -> None:
    async with start(package.path.parent) as companion:
        await companion.infer("branchy", request(images[:1]))  # now it knows how long a request takes
        impatient, patient = (f"{UPLOAD}\nCollab-Patience-Ms: {ms}\nExpect: 100-continue" for ms in (0, 3_600_000))
        with companion.cloud.places.held("another device"):
            assert (await raw(companion, impatient))[0] == 503
            assert (await raw(companion, patient))[0] == 100
        # Its own requests are no others.
        release = held_up(companion)
        own = asyncio.create_task(companion.infer("branchy", request(images[:1])))
        await begun(companion, 1)
        assert (await raw(companion, impatient))[0] == 100
        release.set()
        await own


@pytest.mark.parametrize("path", ["/v2/models/branchy/infer", "/collab/v1/ping", "/collab/v1/packages/sha256:0"])
async def test_who_asks_first_is_told_once_to_send(start: Callable[..., Any], package: Package, path: str) -> None:
    async with start(package.path.parent) as companion:
        host, _, port = companion.address.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        method = "PUT" if "packages" in path else "POST"
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n".encode())
        writer.write(b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}")
            assert b"100 Continue" not in await reader.read()
        writer.close()


# What is compressed may become as large as any.
@pytest.mark.parametrize("body", ["1000000", "1000\nContent-Encoding: gzip"])
async def test_bodies_that_would_not_fit_into_memory_are_refused_before_they_come(
    start: Callable[..., Any], package: Package, body: str
) -> None:
    async with start(package.path.parent, server={"port": 0, "max_request_mb": 1}) as companion:
        host, _, port = companion.address.removeprefix("http://").rpartition(":")
        head = UPLOAD.replace("9000000", body).replace("\n", "\r\n").encode() + b"\r\nExpect: 100-continue\r\n\r\n"
        told = []
        writers = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head)
            async with asyncio.timeout(PATIENCE_S):
                told.append((await reader.readuntil(b"\r\n")).split()[1])
            writers.append(writer)
        # A quarter is kept for other devices than this one.
        assert told == [b"100", b"100", b"503", b"503"]
        for writer in writers:
            writer.close()


async def test_who_goes_down_says_so_and_finishes_what_it_has(
    start: Callable[..., Any], package: Package, local: Local, images: Images
) -> None:
    async with start(package.path.parent) as companion:
        release = held_up(companion)
        call = asyncio.create_task(companion.infer("branchy", request(images[:1])))
        await begun(companion, 1)
        stopping = asyncio.create_task(companion.cloud.dispatcher.drain())
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await companion.infer("branchy", request(images[:1]))
        status, body = await companion.call("POST", "/collab/v1/ping", b"")
        assert isinstance(wire.decode_error(status, body), NotReady)
        status, headers, _ = await raw(companion, UPLOAD)
        assert (status, headers["retry-after"]) == (503, "1")
        assert not stopping.done()
        release.set()
        answer = await call
        await stopping
        np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:1]), atol=1e-5)


async def test_a_peer_that_vanished_in_the_middle_of_a_request_does_not_hold_up_the_end(
    start: Callable[..., Any], package: Package
) -> None:
    writers = []
    async with asyncio.timeout(PATIENCE_S):
        async with start(package.path.parent) as companion:
            host, _, port = companion.address.removeprefix("http://").rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(UPLOAD.replace("\n", "\r\n").encode() + b"\r\n\r\nhalf of it")
            await writer.drain()
            writers.append(writer)
            await companion.call("GET", "/v2/health/ready")
    for writer in writers:
        writer.close()


async def test_every_reply_says_what_it_is_and_what_it_answers(companion: Companion, images: Images) -> None:
    message = wire.encode_request(request(images[:1]))
    asks: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("POST", "/v2/models/branchy/infer", message.body(), message.headers),
        ("POST", "/v2/models/branchy/infer", b"no request", {}),
        ("POST", "/v2/models/nobody/infer", message.body(), message.headers),
        ("POST", "/collab/v1/ping", bytes(100), {}),
        ("GET", f"/collab/v1/profile/{companion.cloud.models.loaded[0].digest}", b"", {}),
        ("GET", "/no/such/path", b"", {}),
    ]
    for method, path, body, headers in asks:
        async with companion.http.request(method, companion.address + path, data=body, headers=headers) as reply:
            assert reply.headers[wire.CHECKSUM] == wire.checksum(await reply.read()), path
            assert reply.headers[wire.REQUEST_CHECKSUM] == wire.checksum(body), path


async def test_one_device_leaves_room_for_others() -> None:
    memory = RequestMemory(4 * 2**20)
    with memory.held("a", 2**20), memory.held("a", 2**20):
        with pytest.raises(Overloaded), memory.held("a", 2**20):
            pass
        with memory.held("b", 2**20):
            pass
    with memory.held("a", 2**20), memory.held("a", 2**20):
        pass
