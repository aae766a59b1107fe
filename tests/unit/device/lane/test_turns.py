"""The order in which work gets its turn on the lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collabd.device.lane.turns import USER, Turns


@asynccontextmanager
async def turn(turns: Turns, due_s: float | None, takes_s: float) -> AsyncIterator[None]:
    if not turns.take_now():
        await turns.take(due_s, takes_s)
    try:
        yield
    finally:
        turns.pass_on()


async def order(*due_s: float | None, gone: int | None = None) -> list[int]:
    """Queue calls one after another while the turn is held; return their indices in the order in which they are served.

    `due_s`: the deadline of each call, in seconds from now; None: no deadline. The call at index `gone` is cancelled
    before its turn.
    """
    turns, served = Turns(), list[int]()
    free = asyncio.Event()
    now_s = asyncio.get_running_loop().time()

    async def first() -> None:
        async with turn(turns, None, 0.0):
            await free.wait()

    async def call(index: int, due: float | None) -> None:
        async with turn(turns, None if due is None else now_s + due, 0.01):
            served.append(index)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(first())]
    await asyncio.sleep(0)
    for index, due in enumerate(due_s):
        tasks.append(asyncio.create_task(call(index, due)))
        await asyncio.sleep(0)
    if gone is not None:
        tasks[gone + 1].cancel()
    free.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with turn(turns, None, 0.0):
        return served


async def test_those_who_are_never_due_take_turns_as_they_came() -> None:
    assert await order(None, None, None) == [0, 1, 2]


async def test_who_is_due_first_goes_first() -> None:
    assert await order(None, 0.5, 0.2, None, 0.3) == [2, 4, 1, 0, 3]


async def test_who_is_due_much_later_does_not_overtake_those_who_came_before() -> None:
    assert await order(None, 60.0, None) == [0, 2, 1]


async def test_who_is_too_late_in_any_case_overtakes_nobody() -> None:
    assert await order(None, 0.5, 0.001, -1.0) == [1, 0, 2, 3]


async def test_who_hangs_up_keeps_nobody_waiting() -> None:
    assert await order(None, 0.2, None, gone=1) == [0, 2]


async def test_who_hangs_up_as_its_turn_comes_hands_it_on() -> None:
    turns, served = Turns(), list[str]()

    async def call(name: str) -> None:
        async with turn(turns, None, 0.0):
            served.append(name)

    async with turn(turns, None, 0.0):
        called, next_ = asyncio.create_task(call("called")), asyncio.create_task(call("next"))
        await asyncio.sleep(0)
    called.cancel()
    await asyncio.gather(called, next_, return_exceptions=True)
    assert served == ["next"]


async def order_of_users(*calls: tuple[str, float | None]) -> list[tuple[str, float | None]]:
    """Like `order`, for calls given as (user, deadline in seconds from now), while user "a" holds the turn."""
    turns, served = Turns(), list[tuple[str, float | None]]()
    free = asyncio.Event()
    now_s = asyncio.get_running_loop().time()

    async def first() -> None:
        USER.set("a")
        async with turn(turns, None, 0.0):
            await free.wait()

    async def call(user: str, due: float | None) -> None:
        USER.set(user)
        async with turn(turns, None if due is None else now_s + due, 0.01):
            served.append((user, due))

    tasks = [asyncio.create_task(first())]
    await asyncio.sleep(0)
    for user, due in calls:
        tasks.append(asyncio.create_task(call(user, due)))
        await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*tasks)
    return served


async def test_one_users_crowd_is_passed_by_anothers_one_call() -> None:
    crowd: list[tuple[str, float | None]] = [("a", None)] * 10
    assert await order_of_users(*crowd, ("b", None)) == [("b", None), *crowd]


async def test_nor_does_it_help_the_crowd_to_be_due_soon() -> None:
    crowd: list[tuple[str, float | None]] = [("a", 0.2)] * 3
    asked = await order_of_users(*crowd, ("b", None), ("b", None))
    assert asked == [("b", None), ("a", 0.2), ("b", None), ("a", 0.2), ("a", 0.2)]


async def test_of_one_users_calls_who_is_due_first_goes_first() -> None:
    asked = await order_of_users(("a", 0.5), ("b", None), ("a", 0.2), ("b", 0.3))
    assert asked == [("b", 0.3), ("a", 0.2), ("b", None), ("a", 0.5)]
