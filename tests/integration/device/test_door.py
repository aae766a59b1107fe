"""The door of the real daemon: bodies in memory, turns, hanging up, refusals before the body, and stopping."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from aiohttp import web

from collab_sdk import AsyncClient, Client, DeadlineExceeded, Overloaded, wire
from collabd.device.api.local_peers import LocalPeers
from collabd.device.job.image import CallImage
from collabd.http import bodies
from collabd.http.bodies import BODY, BodyPace
from collabd.http.protocol import InferenceProtocol
from tests.integration.device.conftest import Bench, Factory
from tests.patience import PATIENCE_S, comes_true, reached
from tests.slowed import slowed

_HEAD = "POST /v2/models/tiny/infer HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\n{more}\r\n"
_LARGE = 2**20
# More than asyncio's own, so that callers who wait keep nobody from asking.
_THREADS = ThreadPoolExecutor(64)


# The hook that is to replace it would rename every asynchronous test.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture is deprecated")


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """The daemons run on uvloop, tests and what embeds them on asyncio's loop."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


_EVIL = "evil"


# A peer with this host name counts as another user, because a test runs as only one user of the kernel.
TOLD_APART = LocalPeers(user_of=lambda head: head.headers.get("Host") == _EVIL)


def settings(inside: int, waiting: int = 64) -> str:
    return f"[server]\nmax_inside = {inside}\nmax_waiting = {waiting}\n"


class Peer:
    """A bare connection, which sends what it is told to."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(path))

    def send(self, length: int, body: bytes = b"", more: str = "") -> None:
        self.sock.sendall(_HEAD.format(length=length, more=more).encode() + body)

    def status(self) -> str:
        return self.sock.recv(65536).decode().split("\r\n")[0]

    def close(self) -> None:
        self.sock.close()


@contextmanager
def busy_lane(it: Bench) -> Iterator[threading.Event]:
    """The lane runs something else until the event is set."""
    free = threading.Event()
    it.daemon.worker.submit(reached, free)
    try:
        yield free
    finally:
        free.set()


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many bodies were in memory, at each moment that one more came."""
    now, seen = 0, [0]
    answered: list[web.Request] = []
    read, serve = bodies.timed_body, InferenceProtocol._answer

    async def noted(*arguments: Any) -> tuple[bytes | bytearray, dict[str, str]]:
        nonlocal now
        now += 1
        seen.append(now)
        assert not any(BODY in request for request in answered)
        return await read(*arguments)

    async def served(inference: InferenceProtocol, name: str, request: web.Request) -> web.Response:
        nonlocal now
        try:
            return await serve(inference, name, request)
        finally:
            now -= 1
            answered.append(request)

    with monkeypatch.context() as patch:
        patch.setattr(bodies, "timed_body", noted)
        patch.setattr(InferenceProtocol, "_answer", served)
        yield seen


def crowd(it: Bench, count: int) -> list[asyncio.Future[np.ndarray]]:
    """So many callers, each in a thread and on a connection of its own."""

    def call() -> np.ndarray:
        with closing(Client(it.socket, timeout_s=60)) as client:
            client._regions = None  # a body is to come
            return client.infer(np.zeros((600, 600, 3), np.uint8)).scores

    loop = asyncio.get_running_loop()
    return [loop.run_in_executor(_THREADS, call) for _ in range(count)]


async def test_one_users_bodies_in_memory_are_bounded(bench: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    with counting(monkeypatch) as seen:
        async with bench("[server]\nmax_inside_mb = 3\nmax_request_mb = 2\n", cloud=False) as it:
            answers = await asyncio.gather(*crowd(it, 30))
        assert all(np.array_equal(answer, answers[0]) for answer in answers)
        assert max(seen) == 2  # of 1.03 MiB each
        assert len(seen) > 30


_ENDLESS = {
    "nothing of the body": (_HEAD.format(length=100, more=""), b""),
    "half of the body": (_HEAD.format(length=100, more=""), b"{" * 50),
    "nothing of the largest body": (_HEAD.format(length=2**20, more=""), b""),
    "half of the largest body": (_HEAD.format(length=2**20, more=""), bytes(2**19)),
    "chunks": (_HEAD.replace("Content-Length: {length}", "Transfer-Encoding: chunked").format(more=""), b"1\r\n{\r\n"),
    "an expectation": (_HEAD.format(length=2**20, more="Expect: 100-continue\r\n"), b""),
}


@pytest.mark.parametrize(("head", "body"), _ENDLESS.values(), ids=_ENDLESS)
async def test_one_users_endless_uploads_keep_nobody_else_waiting(bench: Factory, head: str, body: bytes) -> None:
    room = "max_inside = 1\nmax_inside_mb = 1\nmax_request_mb = 1\nmax_waiting = 128\n"
    async with bench(f"[server]\n{room}", cloud=False, peers=TOLD_APART) as it:
        with ExitStack() as open_peers:
            for _ in range(40):
                peer = open_peers.enter_context(closing(Peer(it.socket)))
                peer.sock.setblocking(False)
                with suppress(BlockingIOError):  # it is not read from
                    peer.sock.send(head.replace("Host: d", f"Host: {_EVIL}").encode() + body)
            await comes_true(lambda: it.daemon.door.waiting == 40)
            for image in it.images[:3]:
                assert (await it.client.infer(image)).ran
            assert it.daemon.door.waiting == 40


async def test_one_users_calls_inside_let_anothers_pass(bench: Factory) -> None:
    async with bench(settings(8), cloud=False, peers=TOLD_APART) as it:
        tensor = wire.Tensor.from_array("image", it.images[0])
        message = wire.encode_request(wire.InferRequest([tensor], parameters={"budget": "50%"}))
        length = f"{wire.HEADER_LENGTH}: {message.headers[wire.HEADER_LENGTH]}\r\n"
        with busy_lane(it) as free, ExitStack() as open_peers:
            peers = [open_peers.enter_context(closing(Peer(it.socket))) for _ in range(20)]
            for peer in peers:
                head = _HEAD.format(length=message.length, more=length).replace("Host: d", f"Host: {_EVIL}")
                peer.sock.sendall(head.encode() + message.body())
            # The others have two places.
            await comes_true(lambda: (it.daemon.door.inside, it.daemon.door.waiting) == (6, 14))
            call = asyncio.create_task(it.client.infer(it.images[0]))
            await comes_true(lambda: it.daemon.door.inside == 7)
            free.set()
            await call
            for peer in peers:
                assert "200" in await asyncio.to_thread(peer.status)
        answered = [decision["budget"] for decision in (await it.client.explain(21))["decisions"]]
        # Newest first. Each of its pieces waited for one of theirs at most.
        assert len(answered) - 1 - answered.index("") <= 3


async def test_an_upload_that_stops_coming_is_told_so(bench: Factory) -> None:
    async with bench(cloud=False, peers=LocalPeers(body_pace=BodyPace(stalled_s=0.2, bytes_per_s=1e6))) as it:
        with closing(Peer(it.socket)) as peer:
            peer.send(_LARGE, b"{")
            assert "408" in await asyncio.to_thread(peer.status)
        assert (await it.client.infer(it.images[0])).ran


async def test_no_image_outlives_its_call(bench: Factory) -> None:
    """Neither in what `explain` remembers nor in the connection that is kept."""
    async with bench(cloud=False) as it:
        others = images_in_memory()
        with busy_lane(it) as free:
            call = asyncio.create_task(it.client.infer(it.images[0]))
            await comes_true(lambda: it.daemon.machinery.lane.busy)
            assert len(images_in_memory(beside=others)) == 1
            free.set()
        await call
        for image in it.images[:4]:
            await it.client.infer(image)
        assert images_in_memory(beside=others) == []
        assert (await it.client.explain(5))["decisions"]


def images_in_memory(beside: Sequence[CallImage] = ()) -> list[CallImage]:
    """All of this process, which other tests may have left some in."""
    gc.collect()
    known = {id(image) for image in beside}
    # By its type: `isinstance` asks objects for their class, and some of torch's warn when they are asked.
    return [each for each in gc.get_objects() if type(each) is CallImage and id(each) not in known]


async def test_the_daemon_says_how_it_is_while_calls_fill_it(bench: Factory) -> None:
    async with bench(settings(1), cloud=False) as it:
        with busy_lane(it) as free:
            calls = crowd(it, 4)
            await asyncio.sleep(0)
            assert (await it.client.status())["models"]
            assert await it.client.ready()
            free.set()
        await asyncio.gather(*calls)


async def test_callers_that_hang_up_at_the_door_leave_at_once(bench: Factory) -> None:
    """Also those whose body is so large that the daemon does not even read from them."""
    async with bench(settings(1, waiting=8), cloud=False) as it:
        with busy_lane(it) as free:
            first = crowd(it, 1)
            await comes_true(lambda: it.daemon.door.inside == 1)
            for body in (b"", bytes(150_000)):
                peers = [Peer(it.socket) for _ in range(4)]
                for peer in peers:
                    peer.send(_LARGE, body)
                await comes_true(lambda: it.daemon.door.waiting == 4)
                for peer in peers:
                    peer.close()
                await comes_true(lambda: it.daemon.door.waiting == 0)
            free.set()
        await asyncio.gather(*first)


async def test_a_caller_that_hangs_up_inside_stops_its_run(bench: Factory) -> None:
    # To prepare an image takes many seconds here.
    async with bench(settings(1), cloud=False, **slowed(1000)) as it:
        message = wire.encode_request(
            wire.InferRequest([wire.Tensor.from_array("image", np.zeros((2000, 2000, 3), np.uint8))])
        )
        lane = it.daemon.machinery.lane
        peer = Peer(it.socket)
        more = f"{wire.HEADER_LENGTH}: {message.headers[wire.HEADER_LENGTH]}\r\n"
        await asyncio.to_thread(peer.send, message.length, message.body(), more)
        await comes_true(lambda: lane.busy)
        behind = asyncio.create_task(lane.prepare(lambda: None))
        await asyncio.sleep(0.1)
        assert not behind.done()
        peer.close()
        await behind
        await comes_true(lambda: it.daemon.door.inside == 0)


async def test_what_does_not_fit_is_refused_before_its_body(bench: Factory) -> None:
    async with bench(settings(1, waiting=2), cloud=False) as it:
        with busy_lane(it) as free:
            calls = crowd(it, 1)
            await comes_true(lambda: it.daemon.door.inside == 1)
            with closing(Peer(it.socket)) as waits, closing(Peer(it.socket)) as asks, closing(Peer(it.socket)) as sends:
                waits.send(_LARGE)
                await comes_true(lambda: it.daemon.door.waiting == 1)
                asks.send(_LARGE, more="Expect: 100-continue\r\n")
                assert "503" in await asyncio.to_thread(asks.status)
                sends.send(_LARGE, b"{")
                assert "503" in await asyncio.to_thread(sends.status)
            free.set()
        await asyncio.gather(*calls)


async def told_in_time(hasty: AsyncClient, image: np.ndarray) -> None:
    """What the daemon says to a caller with little time, who asks again when this machine was held up."""
    while True:
        with suppress(DeadlineExceeded):
            await hasty.infer(image)
            return


async def test_the_sdk_comes_back_when_it_is_told_to(bench: Factory) -> None:
    async with bench(settings(1, waiting=2), cloud=False) as it:
        with busy_lane(it) as free:
            calls = crowd(it, 6)  # one inside, one at the door, four told to come back
            await comes_true(lambda: it.daemon.door.inside + it.daemon.door.waiting == 2)
            async with AsyncClient(it.socket, timeout_s=0.5) as hasty:
                with pytest.raises(Overloaded, match="already wait"):
                    await told_in_time(hasty, it.images[0])
            free.set()
        assert len(await asyncio.gather(*calls)) == 6


async def test_a_calls_time_counts_from_its_arrival(bench: Factory) -> None:
    async with bench(settings(1), cloud=False) as it:
        with busy_lane(it) as free:
            first = crowd(it, 1)
            await comes_true(lambda: it.daemon.door.inside == 1)
            waits = asyncio.create_task(it.client.infer(it.images[0], "200ms"))
            await comes_true(lambda: it.daemon.door.waiting == 1)
            await asyncio.sleep(0.3)
            free.set()
        result = await waits
        await asyncio.gather(*first)
        assert (result.measured.latency_ms or 0) > 300
        assert result.unmet == ("latency",)
        # The daemon must not count the wait at the door as its own overhead.
        assert it.daemon.machinery.learned.overheads.of_call_s(time.monotonic(), 0, of_file=True) < 0.1


async def test_stopping_answers_who_is_inside_and_tells_who_waits(bench: Factory) -> None:
    async with bench(settings(1), cloud=False) as it:
        await it.client.infer(it.images[0])  # it knows the labels now, and need not ask for them
        with busy_lane(it) as free:
            inside = asyncio.create_task(it.client.infer(it.images[0]))
            await comes_true(lambda: it.daemon.door.inside == 1)
            with closing(Peer(it.socket)) as waits:
                waits.send(_LARGE)
                await comes_true(lambda: it.daemon.door.waiting == 1)
                stopping = asyncio.ensure_future(it.stop())
                assert "503" in await asyncio.to_thread(waits.status)
            assert not stopping.done()
            free.set()
            assert (await inside).ran
        await stopping
