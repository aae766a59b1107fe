"""The event loop that jumps from one thing that happens to the next."""

from __future__ import annotations

import asyncio

import pytest

from collabd.simulation.virtual_time import run, sleep_until


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_year_passes_and_the_clock_says_so() -> None:
    async def main() -> float:
        await asyncio.sleep(365 * 86400)
        return now()

    assert run(main(), start_s=-1.0) == pytest.approx(365 * 86400 - 1)


def test_what_happens_first_comes_first_whoever_asked_first() -> None:
    seen: list[tuple[str, float]] = []

    async def wake(name: str, times: list[float]) -> None:
        for time_s in times:
            await sleep_until(time_s)
            seen.append((name, now()))

    async def main() -> None:
        await asyncio.gather(wake("late", [3.0, 4.0]), wake("early", [1.0, 3.5]))

    run(main())
    assert seen == [("early", 1.0), ("late", 3.0), ("early", 3.5), ("late", 4.0)]


def test_a_time_that_is_over_is_not_waited_for() -> None:
    async def main() -> float:
        await sleep_until(2.0)
        await sleep_until(1.0)
        return now()

    assert run(main()) == 2.0


def test_timeouts_go_by_the_same_clock() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.sleep(60.0)
        return now()

    assert run(main()) == 5.0


def test_what_another_thread_would_do_is_done_at_once() -> None:
    async def main() -> float:
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 7, 0)
        return now()

    assert run(main()) == 0.0


def test_to_wait_for_what_nobody_does_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="for ever"):
        run(main())
