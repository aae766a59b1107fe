from __future__ import annotations

import asyncio

from collabd.attention import Attention
from collabd.simulation.virtual_time import run, sleep_until


def test_a_task_looks_often_while_somebody_needs_it_and_seldom_while_nobody_does() -> None:
    # Looks end at 12, 10 s after the last attention; then come those of an idle task.
    assert looks(until_s=30, attention_at_s=(0, 2)) == [*range(1, 13), 17, 22, 27]


def test_a_task_that_idles_looks_at_once_when_somebody_needs_it() -> None:
    assert looks(until_s=22, attention_at_s=(18.5,)) == [*range(1, 11), 15, 18.5, 19.5, 20.5, 21.5]


def looks(*, until_s: float, attention_at_s: tuple[float, ...]) -> list[float]:
    """When a task looks, from 0 s on, that somebody pays attention to at these times."""

    async def main() -> list[float]:
        clock = asyncio.get_running_loop().time
        attention = Attention(busy_s=1, idle_s=5, quiet_s=10, clock=clock)
        looked: list[float] = []

        async def task() -> None:
            while True:
                await attention.next_look()
                looked.append(clock())

        running = asyncio.create_task(task())
        for at_s in attention_at_s:
            await sleep_until(at_s)
            attention.pay()
        await sleep_until(until_s)
        running.cancel()
        return looked

    return run(main())
