"""Who is let in when: bounds on what is inside, and fairness between users. Order is asserted, never time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk.errors import NotReady, Overloaded
from collabd.device.admission import Admission, Room


class Calls:
    """Calls that stay inside until told to leave; `let_in` is the order in which they were."""

    def __init__(self, places: int = 2, most_bytes: int = 100, waiting: int = 100) -> None:
        self.admission = Admission(Room(places, most_bytes, waiting))
        self.let_in: list[str] = []
        self.most_inside = self.most_bytes = 0
        self._bytes = 0
        self._leave: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, user: Hashable, name: str, size: int = 1) -> None:
        self._leave[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._call(user, name, size))
        await settle()

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await self._tasks[name]
        await settle()

    async def hang_up(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await settle()

    async def outcome(self, name: str) -> BaseException | None:
        await asyncio.wait({self._tasks[name]})
        return self._tasks[name].exception()

    async def drain(self) -> None:
        """All leave in the order in which they are let in."""
        gone = 0
        while gone < len(self.let_in):
            await self.leave(self.let_in[gone])
            gone += 1

    async def _call(self, user: Hashable, name: str, size: int) -> None:
        async with self.admission.place(user, size):
            self.let_in.append(name)
            self._bytes += size
            self.most_inside = max(self.most_inside, self.admission.inside)
            self.most_bytes = max(self.most_bytes, self._bytes)
            try:
                await self._leave[name].wait()
            finally:
                self._bytes -= size


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_places_are_inside() -> None:
    calls = Calls(places=2)
    for name in "abc":
        await calls.come(1, name)
    assert (calls.let_in, calls.admission.inside, calls.admission.waiting) == (["a", "b"], 2, 1)
    await calls.leave("a")
    assert calls.let_in == ["a", "b", "c"]


async def test_one_users_crowd_is_passed_by_anothers_one_call() -> None:
    calls = Calls(places=3)
    for turn in range(50):
        await calls.come("crowd", f"crowd{turn}")
    await calls.come("one", "one")
    await calls.leave("crowd0")
    # The first place that came free was its.
    assert calls.let_in[3] == "one"


async def test_a_user_with_one_caller_waits_for_one_call_at_most_however_often_it_comes() -> None:
    calls = Calls(places=3)
    for turn in range(50):
        await calls.come("crowd", f"crowd{turn}")
    for turn in range(10):
        await calls.come("one", f"one{turn}")
        before = len(calls.let_in)
        await calls.leave(next(name for name in calls.let_in if not calls._tasks[name].done()))
        assert calls.let_in[before] == f"one{turn}"
        await calls.leave(f"one{turn}")


async def test_users_with_as_much_to_do_take_turns() -> None:
    calls = Calls(places=1)
    for turn in range(3):
        for user in "abc":
            await calls.come(user, f"{user}{turn}")
    await calls.drain()
    assert calls.let_in == [f"{user}{turn}" for turn in range(3) for user in "abc"]


async def test_bodies_have_a_bound_together_and_a_large_one_is_not_overtaken() -> None:
    calls = Calls(places=10, most_bytes=100)
    await calls.come(1, "a", 60)
    await calls.come(2, "large", 90)
    await calls.come(3, "small", 1)
    assert calls.let_in == ["a"]
    await calls.leave("a")
    assert calls.let_in == ["a", "large", "small"]


async def test_one_larger_than_the_bound_goes_in_alone() -> None:
    calls = Calls(places=10, most_bytes=100)
    await calls.come(1, "a", 10)
    await calls.come(1, "huge", 1000)
    await calls.leave("a")
    await calls.come(1, "b", 1)
    assert calls.let_in == ["a", "huge"]
    await calls.leave("huge")
    assert calls.let_in == ["a", "huge", "b"]


async def test_beyond_those_who_may_wait_the_answer_is_overloaded() -> None:
    calls = Calls(places=1, waiting=4)
    for name in ("inside", "first", "second"):
        await calls.come("crowd", name)
    await calls.come("crowd", "third")
    assert isinstance(await calls.outcome("third"), Overloaded)
    # One user's crowd leaves the half to others.
    for name in ("x", "y"):
        await calls.come("other", name)
    await calls.come("another", "z")
    assert isinstance(await calls.outcome("z"), Overloaded)
    assert calls.admission.waiting == 4


async def test_who_hangs_up_leaves_the_queue_at_once() -> None:
    calls = Calls(places=1, waiting=2)
    await calls.come(1, "inside")
    await calls.come(1, "gone")
    await calls.hang_up("gone")
    assert calls.admission.waiting == 0
    await calls.come(1, "next")
    await calls.hang_up("inside")
    assert calls.let_in == ["inside", "next"]


async def test_who_hangs_up_as_it_is_let_in_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(places=1)
    await calls.come(1, "inside")
    await calls.come(1, "gone")
    call_in = calls.admission._call_in

    def and_hang_up() -> None:
        call_in()
        calls._tasks["gone"].cancel()  # it is called, and has not heard it yet

    with monkeypatch.context() as patch:
        patch.setattr(calls.admission, "_call_in", and_hang_up)
        await calls.leave("inside")
    await calls.come(1, "next")
    assert calls.let_in == ["inside", "next"]
    await calls.leave("next")
    assert calls.admission.inside == 0


async def test_at_the_end_those_who_wait_are_told_and_those_inside_finish() -> None:
    calls = Calls(places=1)
    await calls.come(1, "inside")
    await calls.come(1, "waits")
    closing = asyncio.create_task(calls.admission.close(60))
    assert isinstance(await calls.outcome("waits"), NotReady)
    await calls.come(1, "late")
    assert isinstance(await calls.outcome("late"), NotReady)
    assert not closing.done()
    await calls.leave("inside")
    await closing
    assert calls.let_in == ["inside"]


async def test_the_end_does_not_wait_for_ever() -> None:
    calls = Calls(places=1)
    await calls.come(1, "inside")
    await calls.admission.close(0.01)
    assert calls.admission.inside == 1
    await calls.leave("inside")


Come = tuple[str, int, int]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 3), st.integers(0, 120)),
        st.tuples(st.sampled_from(("leave", "hang up")), st.integers(0, 30), st.just(0)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_the_bounds_hold_and_nobody_is_left_over(events: list[Come]) -> None:
    async def scenario() -> None:
        calls = Calls(places=3, most_bytes=100, waiting=8)
        for turn, (event, which, size) in enumerate(events):
            present = [name for name, task in calls._tasks.items() if not task.done()]
            if event == "come":
                await calls.come(which, str(turn), size)
            elif event == "hang up" and present:
                await calls.hang_up(present[which % len(present)])
            elif calls.let_in and not calls._tasks[name := calls.let_in[which % len(calls.let_in)]].done():
                await calls.leave(name)
        for name in list(calls.let_in):
            if not calls._tasks[name].done():
                await calls.leave(name)
        while any(not task.done() for task in calls._tasks.values()):
            for name in calls.let_in:
                if not calls._tasks[name].done():
                    await calls.leave(name)
        await asyncio.gather(*calls._tasks.values(), return_exceptions=True)
        assert calls.most_inside <= 3
        assert calls.most_bytes <= 120  # 100, or one alone
        assert (calls.admission.inside, calls.admission.waiting, calls.admission._bytes) == (0, 0, 0)

    asyncio.run(scenario())
