"""When the tails must start so that all calls keep their deadlines, on an event loop with a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from collabd.device.lane.promises import Promises


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as no task can run."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.close()


def starts(clock: Clock, *calls: tuple[float, float], backlog_s: float = 0.0) -> list[float | None]:
    """When the tail of each call must start, in seconds from now; None: not within 10 s.

    `calls`: (deadline in seconds from now, length of the tail in seconds).
    """

    async def look() -> list[float | None]:
        found: dict[int, float] = {}
        began, promises = clock.time(), Promises(lambda: backlog_s)

        def note(index: int, must_start: asyncio.Future[None]) -> None:
            if not must_start.cancelled():
                found[index] = clock.time() - began

        with ExitStack() as stack:
            for index, (due_s, tail_s) in enumerate(calls):
                must_start = stack.enter_context(promises.made(began + due_s, tail_s))
                must_start.add_done_callback(partial(note, index))
            await asyncio.sleep(10)
        return [found.get(index) for index in range(len(calls))]

    return clock.run_until_complete(look())


def test_one_call_starts_so_that_it_ends_when_it_is_due(clock: Clock) -> None:
    assert starts(clock, (0.1, 0.03)) == [pytest.approx(0.07)]


def test_two_that_are_due_together_start_one_after_the_other(clock: Clock) -> None:
    assert sorted(filter(None, starts(clock, (0.1, 0.03), (0.1, 0.03)))) == [pytest.approx(0.04), pytest.approx(0.07)]


def test_who_is_due_first_starts_first_whoever_came_first(clock: Clock) -> None:
    assert starts(clock, (0.2, 0.05), (0.18, 0.05)) == [pytest.approx(0.15), pytest.approx(0.10)]


def test_calls_that_are_due_far_apart_do_not_hurry_one_another(clock: Clock) -> None:
    assert starts(clock, (0.1, 0.03), (5.0, 0.03)) == [pytest.approx(0.07), pytest.approx(4.97)]


def test_who_would_come_too_late_behind_other_work_starts_at_once(clock: Clock) -> None:
    assert starts(clock, (0.1, 0.03), backlog_s=0.05) == [pytest.approx(0.07)]
    assert starts(clock, (0.1, 0.03), backlog_s=0.5) == [0.0]


def test_nothing_is_promised_that_cannot_be_kept(clock: Clock) -> None:
    assert starts(clock, (0.1, 0.2), (0.3, 0.1)) == [None, pytest.approx(0.2)]


def test_who_has_its_answer_holds_up_nobody(clock: Clock) -> None:
    async def look() -> float:
        promises, began = Promises(lambda: 0.0), clock.time()
        with promises.made(began + 0.1, 0.03) as must_start:
            with promises.made(began + 0.1, 0.03):
                await asyncio.sleep(0.01)
            await must_start
            return clock.time() - began

    # The timer for the other call fires at 0.04 s, finds that call gone, and is set again for 0.07 s.
    assert clock.run_until_complete(look()) == pytest.approx(0.07)
