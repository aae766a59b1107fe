"""The compute lane: one thread that runs all heavy work of the device, one piece at a time, and times each piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from collabd.clock import MONOTONIC, Clock
from collabd.device.lane.promises import Promises
from collabd.device.lane.turns import Turns, due_at
from collabd.engine import Stop, Stopped
from collabd.worker import Worker

T = TypeVar("T")


class _Running(NamedTuple):
    """The piece that runs now: when it began, how long it should take, and when its call is due; all in seconds."""

    began: float
    expected_s: float
    due_s: float

    def left_s(self, now: float) -> float:
        return max(self.expected_s - (now - self.began), 0.0)

    def done_s(self, now: float) -> float:
        return self.expected_s - self.left_s(now)


_IDLE = _Running(0.0, 0.0, 0.0)


@dataclass(eq=False, slots=True, kw_only=True)
class Claim:
    """What one call still has to run on the lane: `left_s` seconds. The call is due at `due_s` on the lane's clock.

    It counts inside the context, as one of `claims`. `free` is set while there is none.
    """

    due_s: float
    left_s: float
    claims: list[Claim]
    free: asyncio.Event

    def __enter__(self) -> Self:
        self.claims.append(self)
        self.free.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.claims.remove(self)
        if not self.claims:
            self.free.set()


@dataclass(slots=True)
class Timed(Generic[T]):
    """A result. The work ran for `seconds`, after it had waited `waited_s` seconds for its turn and its setup."""

    value: T
    seconds: float
    waited_s: float


@dataclass(slots=True)
class LanePart(Generic[T]):
    """Work that is timed by itself. `setup` runs before it and is not timed."""

    work: Callable[[Stop], T]
    setup: Callable[[], None] | None = None


@dataclass(slots=True, kw_only=True)
class Piece:
    """Parts that run one after the other. A call `asked` for them at that time; `running` is around all of them."""

    parts: Sequence[LanePart[Any]]
    asked: float
    running: AbstractContextManager[None]


class LaneThread(Protocol):
    """Runs the pieces of a lane. A simulation has its own."""

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        """Run the parts of a piece when the piece before has ended. Errors of a part are raised here."""

    async def prepare(self, work: Callable[[], T]) -> T:
        """Run work that belongs to no call."""

    def close(self) -> None:
        """Finish what runs; drop what waits."""


class ComputeThread:
    """A thread of this machine."""

    def __init__(self, *, clock: Clock = MONOTONIC) -> None:
        self.worker = Worker("compute")
        self._clock = clock

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        """Run the parts of a piece when the piece before has ended. Errors of a part are raised here."""
        return await self.worker.run(partial(self.timed, piece, stop))

    async def prepare(self, work: Callable[[], T]) -> T:
        """Run work that belongs to no call."""
        return await self.worker.run(work)

    def timed(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        """Run the parts in the thread that calls this."""
        timed, ready = [], piece.asked
        with piece.running:
            for part in piece.parts:
                if part.setup is not None:
                    part.setup()
                began = self._clock()
                value = part.work(stop)
                ended = self._clock()
                timed.append(Timed(value, ended - began, began - ready))
                ready = ended
        return timed

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self.worker.shutdown(cancel_futures=True)


class _Marked:
    """Surrounds a piece that runs, so that the lane knows of it."""

    __slots__ = ("_due_s", "_expect_s", "_lane")

    def __init__(self, lane: Lane, expect_s: float, due_s: float) -> None:
        self._lane = lane
        self._expect_s = expect_s
        self._due_s = due_s

    def __enter__(self) -> None:
        self._lane.mark(_Running(self._lane.clock(), self._expect_s, self._due_s))

    def __exit__(self, *_: object) -> None:
        self._lane.mark(_IDLE)


class Lane:
    """Runs work on one thread, so that runs do not compete for the cores, and each measured time is that of one run."""

    def __init__(self, thread: LaneThread, *, clock: Clock = MONOTONIC) -> None:
        self.clock = clock
        self._thread = thread
        self.promises = Promises(lambda: self.backlog_s)
        self._turns = Turns()
        # The claims of all calls under way, also of calls that have not asked for a turn yet.
        self._claims: list[Claim] = []
        # Set while no call is under way.
        self.free = asyncio.Event()
        self.free.set()
        # Of the work aside that runs now.
        self._aside: Stop | None = None
        self._pieces = 0
        self._expected_s = 0.0
        self._running = _IDLE

    @property
    def busy(self) -> bool:
        """Whether a piece of work runs or waits for its turn."""
        return self._pieces > 0

    @property
    def backlog_s(self) -> float:
        """How long the running and the waiting pieces are expected to take from now on, in seconds."""
        return max(self._expected_s - self._running.done_s(self.clock()), 0.0)

    def wait_s(self, within_s: float | None) -> float:
        """How long a call that arrives now must wait for other calls, in seconds.

        It waits for the piece that runs, and for all calls that are due before it. `within_s`: its deadline, in seconds
        from now; None: it has no deadline.
        """
        now_s, running = self.clock(), self._running
        if not self._claims and running is _IDLE:
            return 0.0
        due_s = due_at(now_s, None if within_s is None else now_s + within_s)
        before_s = sum(claim.left_s for claim in self._claims if claim.due_s <= due_s)
        left_s = running.left_s(now_s)
        # If the running piece is due before this call, `before_s` already contains it.
        return max(before_s - running.done_s(now_s), left_s) if running.due_s <= due_s else before_s + left_s

    def claimed(self, due_s: float | None, seconds: float) -> Claim:
        """Announce a call that will run for `seconds` and is due at `due_s`, so that others know how long they wait.

        `due_s` None: the call has no deadline. `run` subtracts from the claim what it runs for it.
        """
        if self._aside is not None:
            self._aside.request()
        return Claim(due_s=due_at(self.clock(), due_s), left_s=seconds, claims=self._claims, free=self.free)

    async def run(
        self,
        work: Callable[[Stop], T],
        *,
        expect_s: float = 0.0,
        claim: Claim | None = None,
        setup: Callable[[], None] | None = None,
    ) -> Timed[T]:
        """Run one part as a piece of its own."""
        (timed,) = await self.run_parts([LanePart(work, setup)], expect_s=expect_s, claim=claim)
        return timed

    async def run_parts(
        self, parts: Sequence[LanePart[Any]], *, expect_s: float, due_s: float | None = None, claim: Claim | None = None
    ) -> list[Timed[Any]]:
        """Run the parts on the lane, one after the other, when their turn comes. Raises what they raise.

        `expect_s`: how long all of them are expected to take, in seconds. `due_s`: when their call must be answered, on
        the lane's clock; work that is due earlier gets its turn earlier.

        If this is cancelled before its turn, nothing runs. If it is cancelled later, the parts are asked to stop (their
        `Stop` is requested), so that the lane becomes free. The `setup` of a part is not timed: the cost of building
        something once must not count as the cost of a run.
        """
        stop, asked, turns = Stop(), self.clock(), self._turns
        self._pieces += 1
        self._expected_s += expect_s
        if self.promises.open:
            self.promises.look()
        running = _Marked(self, expect_s, due_at(asked, due_s) if claim is None else claim.due_s)
        try:
            if not turns.take_now():
                await turns.take(due_s, expect_s)
            try:
                timed = await self._thread.run(Piece(parts=parts, asked=asked, running=running), stop)
            finally:
                turns.pass_on()
        except asyncio.CancelledError:
            stop.request()
            raise
        finally:
            self._pieces -= 1
            self._expected_s -= expect_s
        if claim is not None:
            claim.left_s = max(claim.left_s - sum(each.seconds for each in timed), 0.0)
        return timed

    async def prepare(self, work: Callable[[], T]) -> T:
        """Run `work` that belongs to no call: measuring, building and other preparation."""
        return await self._thread.prepare(work)

    async def aside(self, work: Callable[[Stop], T]) -> T:
        """Run `work` that belongs to no call, and that the next call stops. Raises `Stopped` then, and what it raises.

        It runs only while no call is under way (`free`); otherwise it counts as stopped at once.
        """
        if not self.free.is_set():
            raise Stopped("a call is under way")
        stop = self._aside = Stop()
        try:
            return await self._thread.prepare(partial(work, stop))
        except asyncio.CancelledError:
            stop.request()
            raise
        finally:
            self._aside = None

    def mark(self, running: _Running) -> None:
        """Called by the lane's thread: this piece runs from now on."""
        self._running = running

    def close(self) -> None:
        """Finish what runs; drop what waits."""
        self._thread.close()
