"""Streams of the newest frames: what is stale is dropped and counted, and nothing else is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing

import numpy as np
import pytest

from collab_sdk._newest import Frame, Newest, NewestCalls
from collab_sdk.aio import AsyncClient
from collab_sdk.client import Client
from collab_sdk.errors import InvalidImage, InvalidRequest
from collab_sdk.image import Image
from collab_sdk.result import Result
from collab_sdk.transport import DaemonReply, DaemonRequest
from tests.patience import PATIENCE_S
from tests.unit.sdk.conftest import ScriptedDaemon, is_inference


def frame(number: int) -> Image:
    return np.full((2, 2, 3), number, np.uint8)


class Gate:
    """Holds back the daemon's answers, or a camera's frames, one by one."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def wait(self) -> None:
        self.asked.release()
        assert self._open.acquire(timeout=PATIENCE_S)

    def open(self, times: int = 1) -> None:
        self._open.release(times)

    def reached(self) -> None:
        """Return when somebody waits, or has waited."""
        assert self.asked.acquire(timeout=PATIENCE_S)


class Bed:
    """A daemon that answers when the test says so, and a camera whose frames the test gives."""

    def __init__(self, daemon: ScriptedDaemon) -> None:
        self.daemon = daemon
        self.answers = Gate()
        self.frames = Gate()
        answer = daemon.script

        def held(request: DaemonRequest) -> DaemonReply:
            if is_inference(request):
                self.answers.wait()
            return answer(request)

        daemon.script = held

    def camera(self, count: int) -> Iterator[Image]:
        for number in range(count):
            self.frames.wait()
            yield frame(number)

    def give(self, count: int) -> None:
        """Let the camera give frames, until it is asked for the one behind them."""
        for _ in range(count):
            self.frames.open()
            self.frames.reached()

    def sent(self) -> list[int]:
        """The numbers of the frames that the daemon was asked about."""
        return [int(np.asarray(call.image).flat[0]) for call in self.daemon.calls]


@pytest.fixture
def bed(daemon: ScriptedDaemon) -> Bed:
    return Bed(daemon)


@pytest.fixture
def fetched(bed: Bed) -> Iterator[list[Result]]:
    """What a thread fetches of a stream of 7 frames, one call under way at once."""
    results: list[Result] = []

    def fetch() -> None:
        with Client(transport=bed.daemon) as client:
            results.extend(client.stream(bed.camera(7), latest=True, in_flight=1))

    thread = threading.Thread(target=fetch)
    thread.start()
    yield results
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [result.dropped for result in results] == [0, 3, 1]
    # Each has the frame that it is about.
    assert [np.asarray(result.image)[0, 0, 0] for result in results] == [0, 4, 6]
    assert bed.sent() == [0, 4, 6]


def test_stale_frames_are_dropped_and_counted(bed: Bed, fetched: list[Result]) -> None:
    bed.frames.reached()
    bed.give(1)
    bed.answers.reached()
    # While the first call is under way, four frames come: the last of them is asked about next.
    bed.give(4)
    bed.answers.open()
    bed.answers.reached()
    # The camera ends. Its last frame is answered, not the one before it.
    bed.give(1)
    bed.frames.open()
    for thread in threading.enumerate():
        if thread.name == "stream-camera":
            thread.join(PATIENCE_S)
    bed.answers.open(2)
    assert fetched is not None


def test_a_camera_that_is_slower_than_the_calls_loses_nothing(daemon: ScriptedDaemon) -> None:
    answered = threading.Semaphore(1)

    def camera() -> Iterator[Image]:
        for number in range(5):
            assert answered.acquire(timeout=PATIENCE_S)
            yield frame(number)

    with Client(transport=daemon) as client:
        for result in client.stream(camera(), latest=True):
            assert result.dropped == 0
            answered.release()
    assert len(daemon.calls) == 5


def test_several_calls_are_under_way_at_once(daemon: ScriptedDaemon) -> None:
    together, answer = threading.Barrier(3, timeout=PATIENCE_S), daemon.script

    def all_at_once(request: DaemonRequest) -> DaemonReply:
        if is_inference(request):
            together.wait()
        return answer(request)

    taken = threading.Semaphore(1)

    def camera() -> Iterator[Image]:
        for number in range(3):
            assert taken.acquire(timeout=PATIENCE_S)
            yield frame(number)

    def noted(request: DaemonRequest) -> DaemonReply:
        taken.release()
        return all_at_once(request)

    daemon.script = noted
    with Client(transport=daemon) as client:
        assert [result.dropped for result in client.stream(camera(), latest=True, in_flight=3)] == [0, 0, 0]


def test_who_fetches_slowly_gets_no_long_line_of_old_answers() -> None:
    newest = Newest(lambda: None)
    asked: list[Future[Result]] = []

    def ask(_: Frame) -> Future[Result]:
        asked.append(Future())
        return asked[-1]

    calls = NewestCalls(newest, ask, lambda: None, in_flight=4)
    for number in range(4):
        newest.put(frame(number), 0.0)
        assert calls.next_answered() is None
    for call in asked:
        call.set_running_or_notify_cancel()
        call.set_exception(TimeoutError())
    # Four answers wait while frames go on to come: no frame is taken until one answer is left.
    newest.put(frame(4), 0.0)
    assert [calls.next_answered() for _ in range(3)] == asked[:3]
    assert len(asked) == 4
    assert calls.next_answered() is asked[3]
    assert len(asked) == 5


@pytest.mark.parametrize("latest", [False, True])
def test_an_error_of_the_camera_comes_behind_the_answers_before_it(daemon: ScriptedDaemon, latest: bool) -> None:
    def camera() -> Iterator[Image]:
        yield frame(1)
        raise OSError("the camera is gone")

    with Client(transport=daemon) as client:
        stream = client.stream(camera(), latest=latest, in_flight=1)
        assert next(stream).label == "dog"
        with pytest.raises(OSError, match="gone"):
            next(stream)


def test_an_error_of_a_call_ends_the_stream_in_its_turn(daemon: ScriptedDaemon) -> None:
    def fails(request: DaemonRequest) -> DaemonReply:
        if is_inference(request):
            raise InvalidImage("no image")
        raise LookupError(request.url)

    daemon.script = fails
    with Client(transport=daemon) as client:
        stream = client.stream([frame(1)], latest=True)
        with pytest.raises(InvalidImage):
            next(stream)
        assert list(client.stream([], latest=True)) == []
        with pytest.raises(InvalidRequest, match="in_flight"):
            next(client.stream([], latest=True, in_flight=0))


def test_a_closed_stream_lets_go_of_the_camera(bed: Bed) -> None:
    bed.answers.open(9)
    let_go = threading.Event()

    def camera() -> Iterator[Image]:
        try:
            yield from bed.camera(9)
        finally:
            let_go.set()

    with Client(transport=bed.daemon) as client:
        stream = client.stream(camera(), latest=True)
        bed.frames.open()
        next(stream)
        stream.close()
        bed.frames.open()
        assert let_go.wait(PATIENCE_S)
        assert len(bed.sent()) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_coroutines_get_the_newest_too(bed: Bed, asynchronous: bool) -> None:
    async def camera() -> AsyncIterator[Image]:
        for number in range(6):
            await asyncio.to_thread(bed.frames.wait)
            yield frame(number)

    async def off_the_loop(step: Callable[[], None]) -> None:
        await asyncio.to_thread(step)

    async def fetch() -> list[Result]:
        async with AsyncClient(transport=bed.daemon) as client:
            frames = camera() if asynchronous else bed.camera(6)
            return [result async for result in client.stream(frames, latest=True, in_flight=1)]

    fetching = asyncio.create_task(fetch())
    await off_the_loop(bed.frames.reached)
    await off_the_loop(lambda: bed.give(1))
    await off_the_loop(bed.answers.reached)
    await off_the_loop(lambda: bed.give(4))
    bed.answers.open()
    await off_the_loop(bed.answers.reached)
    bed.frames.open()
    bed.answers.open(2)
    results = await fetching
    assert [result.dropped for result in results] == [0, 3, 0]
    assert [np.asarray(result.image)[0, 0, 0] for result in results] == [0, 4, 5]
    assert bed.sent() == [0, 4, 5]


async def test_a_closed_stream_of_a_coroutine_ends_its_tasks(daemon: ScriptedDaemon) -> None:
    async def camera() -> AsyncIterator[Image]:
        yield frame(1)
        await asyncio.Event().wait()

    async with AsyncClient(transport=daemon) as client, aclosing(client.stream(camera(), latest=True)) as stream:
        assert (await anext(stream)).dropped == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_asynchronous_camera_may_fail(daemon: ScriptedDaemon) -> None:
    async def camera() -> AsyncIterator[Image]:
        yield frame(1)
        raise OSError("the camera is gone")

    async with AsyncClient(transport=daemon) as client:
        stream = client.stream(camera(), latest=True)
        assert (await anext(stream)).label == "dog"
        with pytest.raises(OSError, match="gone"):
            await anext(stream)
