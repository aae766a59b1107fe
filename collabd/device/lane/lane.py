"""The device's one compute lane: everything heavy runs here, one at a time, and is timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from collabd.clock import MONOTONIC, Clock
from collabd.device.lane.promises import Promises
from collabd.device.lane.turns import Turns, due_at
from collabd.engine import Stop, Stopped
from collabd.systemd.watchdog import Worker

T = TypeVar("T")


class _Running(NamedTuple):
    """The piece that runs: when it began, how long it should take, and when it is due."""

    began: float
    expected_s: float
    due_s: float

    def left_s(self, now: float) -> float:
        return max(self.expected_s - (now - self.began), 0.0)

    def done_s(self, now: float) -> float:
        return self.expected_s - self.left_s(now)


_IDLE = _Running(0.0, 0.0, 0.0)


@dataclass(eq=False)
class Claim:
    """What a call under way has yet to run, in seconds, and when it is due, on the lane's clock."""

    due_s: float
    left_s: float


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result, the seconds that it took, and those before that until it began."""

    value: T
    seconds: float
    waited_s: float


@dataclass(frozen=True, kw_only=True)
class Piece(Generic[T]):
    """Work that somebody `asked` for at that time. `setup` goes first and is not timed; `running` is around both."""

    work: Callable[[Stop], T]
    setup: Callable[[], None] | None
    asked: float
    running: Callable[[], AbstractContextManager[None]]


class LaneThread(Protocol):
    """What runs the pieces of a lane; it may be simulated. `slowdown`: times slower that the device is emulated."""

    slowdown: float

    async def run(self, piece: Piece[T], stop: Stop) -> Timed[T]:
        """Run a piece when the one before has ended. Its errors are raised here."""

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run work without emulating a slower device."""

    def close(self) -> None:
        """Finish what runs; drop what waits."""


class ComputeThread:
    """A thread of this machine. It emulates a slower device by waiting in proportion after each run."""

    def __init__(self, slowdown: float, *, clock: Clock = MONOTONIC) -> None:
        self.slowdown = slowdown
        self.worker = Worker("compute")
        self._clock = clock

    async def run(self, piece: Piece[T], stop: Stop) -> Timed[T]:
        """Run a piece when the one before has ended. Its errors are raised here."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, partial(self._timed, piece, stop))

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run work without emulating a slower device."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, work)

    def _timed(self, piece: Piece[T], stop: Stop) -> Timed[T]:
        with piece.running():
            if piece.setup is not None:
                piece.setup()
            began = self._clock()
            value = piece.work(stop)
            if self.slowdown > 1 and stop.wait((self._clock() - began) * (self.slowdown - 1)):
                raise Stopped("a slower device would not have finished")
            return Timed(value, self._clock() - began, began - piece.asked)

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self.worker.shutdown(cancel_futures=True)


class Lane:
    """One thread, so that runs do not fight for the cores and a measured time is that of one run."""

    def __init__(self, thread: LaneThread, *, clock: Clock = MONOTONIC) -> None:
        self.clock = clock
        self._thread = thread
        self.promises = Promises(lambda: self.backlog_s)
        self._turns = Turns()
        # Of all calls under way, those included that have not come to the lane yet.
        self._claims: list[Claim] = []
        self._pieces = 0
        self._expected_s = 0.0
        self._running = _IDLE

    @property
    def slowdown(self) -> float:
        """How many times slower the device is emulated to be."""
        return self._thread.slowdown

    @property
    def busy(self) -> bool:
        """Whether a call runs something or waits for its turn."""
        return self._pieces > 0

    @property
    def backlog_s(self) -> float:
        """How long what runs and what waits may well take."""
        return max(self._expected_s - self._running.done_s(self.clock()), 0.0)

    def wait_s(self, within_s: float | None) -> float:
        """How long a call that comes now, and is due within that, waits for others: for what runs, and for those due
        before it. `within_s` None: it has no deadline."""
        now_s, running = self.clock(), self._running
        if not self._claims and running is _IDLE:
            return 0.0
        due_s = due_at(now_s, None if within_s is None else now_s + within_s)
        before_s = sum(claim.left_s for claim in self._claims if claim.due_s <= due_s)
        left_s = running.left_s(now_s)
        # What runs is part of what is before, if it is due before.
        return max(before_s - running.done_s(now_s), left_s) if running.due_s <= due_s else before_s + left_s

    @contextmanager
    def claimed(self, due_s: float | None, seconds: float) -> Iterator[Claim]:
        """Around a call that will run so much, and is due then or at no time: other calls can tell how long they wait.

        What `run` runs for the claim is taken off it.
        """
        claim = Claim(due_at(self.clock(), due_s), seconds)
        self._claims.append(claim)
        try:
            yield claim
        finally:
            self._claims.remove(claim)

    async def run(
        self,
        work: Callable[[Stop], T],
        *,
        expect_s: float = 0.0,
        due_s: float | None = None,
        claim: Claim | None = None,
        setup: Callable[[], None] | None = None,
    ) -> Timed[T]:
        """Run `work`, which may well take `expect_s`, on the lane; its errors are raised here. `setup` goes first.

        `due_s`, on the lane's clock: when its call must be answered, which decides whose turn it is.

        Cancelled before its turn, it never runs; later, its `Stop` is requested, so that the lane is free for others.
        `setup` is not timed: what is built once must not look like the cost of a run.
        """
        stop, asked = Stop(), self.clock()
        self._pieces += 1
        self._expected_s += expect_s
        if self.promises.open:
            self.promises.look()
        try:
            running = partial(self._is_running, expect_s, due_at(asked, due_s))
            async with self._turns.turn(due_s, expect_s):
                timed = await self._thread.run(Piece(work=work, setup=setup, asked=asked, running=running), stop)
        except asyncio.CancelledError:
            stop.request()
            raise
        finally:
            self._pieces -= 1
            self._expected_s -= expect_s
        if claim is not None:
            claim.left_s = max(claim.left_s - timed.seconds, 0.0)
        return timed

    async def run_unpaced(self, work: Callable[[], T]) -> T:
        """Run `work` on the lane without emulating a slower device: measuring, building and other preparation."""
        return await self._thread.run_unpaced(work)

    @contextmanager
    def _is_running(self, expect_s: float, due_s: float) -> Iterator[None]:
        self._running = _Running(self.clock(), expect_s, due_s)
        try:
            yield
        finally:
            self._running = _IDLE

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self._thread.close()
