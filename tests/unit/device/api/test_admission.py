"""Who is let in when: bounds on what is here, and what one user cannot do to another. Order is asserted, never time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from collab_sdk.errors import NotReady, Overloaded
from collabd.device.api.admission import Admission, AdmissionLimits


class Calls:
    """Calls that stay until told to leave; `read` and `let_in`: in which order their bodies and they came in."""

    def __init__(self, places: int = 4, bytes_each: int = 100, most_bytes: int = 150, waiting: int = 100) -> None:
        self.admission = Admission(
            AdmissionLimits(places=places, bytes_each=bytes_each, most_bytes=most_bytes, waiting=waiting)
        )
        self.read: list[str] = []
        self.let_in: list[str] = []
        self._whole: dict[str, asyncio.Event] = {}
        self._leave: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, user: Hashable, name: str, size: int = 1) -> None:
        """With a body that comes at once."""
        await self.begin(user, name, size)
        self.complete(name)
        await settle()

    async def begin(self, user: Hashable, name: str, size: int = 1) -> None:
        """With a body that comes once it is told to."""
        self._whole[name], self._leave[name] = asyncio.Event(), asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._call(user, name, size))
        await settle()

    def complete(self, name: str) -> None:
        self._whole[name].set()

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

    async def _call(self, user: Hashable, name: str, size: int) -> None:
        with self.admission.arrive(user) as arrival:
            if not arrival.take_bytes_now(size):
                await arrival.take_bytes(size)
            self.read.append(name)
            await self._whole[name].wait()
            if not arrival.take_place_now():
                await arrival.take_place()
            self.let_in.append(name)
            await self._leave[name].wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_places_are_inside() -> None:
    calls = Calls(places=2)
    for user, name in enumerate("abc"):
        await calls.come(user, name)
    assert (calls.let_in, calls.admission.inside, calls.admission.waiting) == (["a", "b"], 2, 1)
    await calls.leave("a")
    assert calls.let_in == ["a", "b", "c"]


async def test_uploads_that_never_end_hold_no_place() -> None:
    calls = Calls(places=1)
    for turn in range(40):
        await calls.begin("slow", f"slow{turn}")
    await calls.come("other", "other")
    assert (calls.let_in, calls.admission.waiting) == (["other"], 40)


async def test_one_users_uploads_leave_bytes_to_others_whatever_they_announce() -> None:
    calls = Calls(bytes_each=100, most_bytes=150)
    for turn in range(4):
        await calls.begin("slow", f"slow{turn}", 50)
    assert calls.read == ["slow0", "slow1"]
    await calls.come("other", "other", 50)
    assert calls.let_in == ["other"]


async def test_bodies_that_wait_for_a_place_count() -> None:
    calls = Calls(places=1, bytes_each=100, most_bytes=150)
    for turn in range(4):
        await calls.come("crowd", f"crowd{turn}", 50)
    assert (calls.read, calls.let_in) == (["crowd0", "crowd1"], ["crowd0"])


async def test_one_users_calls_never_fill_all_places() -> None:
    calls = Calls(places=4)
    for turn in range(50):
        await calls.come("crowd", f"crowd{turn}")
    assert calls.admission.inside == 3
    await calls.come("one", "one")
    assert calls.let_in[3] == "one"


async def test_a_user_with_one_caller_waits_for_one_call_at_most_however_often_it_comes() -> None:
    calls = Calls(places=1)
    for turn in range(50):
        await calls.come("crowd", f"crowd{turn}")
    for turn in range(10):
        await calls.come("one", f"one{turn}")
        before = len(calls.let_in)
        await calls.leave(next(name for name in calls.let_in if not calls._tasks[name].done()))
        assert calls.let_in[before] == f"one{turn}"
        await calls.leave(f"one{turn}")


async def test_beyond_those_who_may_wait_the_answer_is_overloaded() -> None:
    calls = Calls(places=1, waiting=4)
    for name in ("inside", "first"):
        await calls.come("crowd", name)
    await calls.begin("crowd", "slow")
    await calls.come("crowd", "third")
    assert isinstance(await calls.outcome("third"), Overloaded)
    # One user's crowd leaves the half to others.
    for name in ("x", "y"):
        await calls.come("other", name)
    await calls.come("another", "z")
    assert isinstance(await calls.outcome("z"), Overloaded)
    assert calls.admission.waiting == 4


async def test_who_hangs_up_leaves_at_once() -> None:
    calls = Calls(places=1, waiting=2)
    await calls.come(1, "inside")
    await calls.come(1, "gone")
    await calls.hang_up("gone")
    assert calls.admission.waiting == 0
    await calls.begin(1, "slow")
    await calls.hang_up("slow")
    await calls.come(1, "next")
    await calls.hang_up("inside")
    assert calls.let_in == ["inside", "next"]
    await calls.leave("next")
    assert (calls.admission.inside, calls.admission.waiting) == (0, 0)


async def test_at_the_end_those_without_a_place_are_told_and_those_inside_finish() -> None:
    calls = Calls(places=1, bytes_each=2)
    await calls.come(1, "inside")
    await calls.come(1, "waits for a place")
    await calls.begin(2, "is read")
    await calls.begin(1, "waits to be read")
    assert "waits to be read" not in calls.read
    closing = asyncio.create_task(calls.admission.close(60))
    for name in ("waits for a place", "is read", "waits to be read"):
        assert isinstance(await calls.outcome(name), NotReady), name
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
