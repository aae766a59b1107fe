"""Who gets of what all share, and when. Order is asserted, never time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from collabd.fair_shares import FairShares


class Holders:
    """Each holds its amount until told to give it back; `served` is the order in which they got it."""

    def __init__(self, whole: int, each: int) -> None:
        self.shares = FairShares(whole, each)
        self.each = each
        self.served: list[str] = []
        self.most = self.most_each = 0
        self._over: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, owner: Hashable, name: str, amount: int = 1) -> None:
        self._over[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(owner, name, amount))
        await settle()

    async def give_back(self, name: str) -> None:
        self._over[name].set()
        await self._tasks[name]
        await settle()

    async def go(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await settle()

    async def all_in_turn(self) -> None:
        """They give back in the order in which they are served."""
        gone = 0
        while gone < len(self.served):
            await self.give_back(self.served[gone])
            gone += 1

    def present(self) -> list[str]:
        return [name for name, task in self._tasks.items() if not task.done()]

    async def _hold(self, owner: Hashable, name: str, amount: int) -> None:
        async with self.shares.held(owner, amount):
            self.served.append(name)
            self.most = max(self.most, self.shares.taken)
            self.most_each = max(self.most_each, self.shares.of(owner))
            await self._over[name].wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_there_is_is_given_out() -> None:
    holders = Holders(whole=2, each=2)
    for name in "abc":
        await holders.ask(1, name)
    assert (holders.served, holders.shares.taken) == (["a", "b"], 2)
    await holders.give_back("a")
    assert holders.served == ["a", "b", "c"]


async def test_nobody_holds_all_of_it_even_when_nobody_else_is_there() -> None:
    holders = Holders(whole=4, each=3)
    for turn in range(6):
        await holders.ask("crowd", f"crowd{turn}")
    assert holders.shares.of("crowd") == 3
    await holders.ask("one", "one")
    assert holders.served[3:] == ["one"]


async def test_who_comes_anew_is_before_who_was_just_served() -> None:
    holders = Holders(whole=1, each=1)
    for turn in range(4):
        await holders.ask("crowd", f"crowd{turn}")
    for turn in range(3):
        await holders.ask("one", f"one{turn}")
        await holders.give_back(holders.served[-1])
        assert holders.served[-1] == f"one{turn}"
        await holders.give_back(f"one{turn}")


async def test_owners_with_as_much_to_do_take_turns() -> None:
    holders = Holders(whole=1, each=1)
    for turn in range(3):
        for owner in "abc":
            await holders.ask(owner, f"{owner}{turn}")
    await holders.all_in_turn()
    assert holders.served == [f"{owner}{turn}" for turn in range(3) for owner in "abc"]


async def test_what_is_large_is_not_overtaken() -> None:
    holders = Holders(whole=100, each=100)
    await holders.ask(1, "a", 60)
    await holders.ask(2, "large", 90)
    await holders.ask(3, "small", 1)
    assert holders.served == ["a"]
    await holders.give_back("a")
    assert holders.served == ["a", "large", "small"]


async def test_what_its_owner_may_not_have_stands_in_nobodys_way() -> None:
    holders = Holders(whole=100, each=60)
    await holders.ask(1, "a", 60)
    await holders.ask(1, "b", 60)
    await holders.ask(2, "small", 1)
    assert holders.served == ["a", "small"]


async def test_more_than_a_share_is_a_share() -> None:
    holders = Holders(whole=100, each=60)
    await holders.ask(1, "huge", 1000)
    assert holders.shares.taken == 60


async def test_who_goes_while_it_waits_leaves_nothing() -> None:
    holders = Holders(whole=1, each=1)
    for name in ("a", "gone", "next"):
        await holders.ask(1, name)
    await holders.go("gone")
    await holders.go("a")
    assert holders.served == ["a", "next"]
    await holders.give_back("next")
    assert holders.shares.taken == 0


async def test_who_goes_as_it_is_called_keeps_nothing() -> None:
    holders = Holders(whole=1, each=1)
    for name in ("a", "gone", "next"):
        await holders.ask(1, name)
    holders._over["a"].set()
    await asyncio.sleep(0)  # "a" hears it ...
    holders._tasks["gone"].cancel()  # ... and "gone" was called, and has not heard it yet
    await settle()
    assert holders.served == ["a", "next"]
    await holders.give_back("next")
    assert holders.shares.taken == 0


async def test_those_who_go_in_the_same_moment_keep_nothing() -> None:
    """As all do whose daemon stops: some are called that were told to go, and did not hear of it yet."""
    holders = Holders(whole=1, each=1)
    for name in ("a", "b", "c", "next"):
        await holders.ask(1, name)
    for name in "abc":
        holders._tasks[name].cancel()
    await settle()
    assert [holders._tasks[name].cancelled() for name in "abc"] == [True] * 3
    assert holders.served == ["a", "next"]
    await holders.give_back("next")
    assert (holders.shares.taken, holders.shares._queues) == (0, {})


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 3), st.integers(0, 120)),
        st.tuples(st.sampled_from(("give back", "go")), st.integers(0, 30), st.just(0)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_the_bounds_hold_and_nobody_is_left_over(events: list[tuple[str, int, int]]) -> None:
    async def scenario() -> None:
        holders = Holders(whole=100, each=60)
        for turn, (event, which, amount) in enumerate(events):
            present = holders.present()
            served = [name for name in holders.served if name in present]
            if event == "ask":
                await holders.ask(which, str(turn), amount)
            elif event == "go" and present:
                await holders.go(present[which % len(present)])
            elif event == "give back" and served:
                await holders.give_back(served[which % len(served)])
        while served := [name for name in holders.served if name in holders.present()]:
            await holders.give_back(served[0])
        assert not holders.present()
        assert holders.most <= 100
        assert holders.most_each <= 60
        shares = holders.shares
        assert (shares.taken, dict(shares._held), shares._queues, shares._served) == (0, {}, {}, {})

    asyncio.run(scenario())
