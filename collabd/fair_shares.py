"""Something that owners (users, devices) share: none of them can have all of it, and those who wait take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

# The share of the whole that no single device can take.
_RESERVED = 0.25


def most_for(device: str | None, whole: int) -> int:
    """The most that one device may have of `whole`.

    If requests come through another server of this machine, devices have no name and cannot be told apart: all of them
    together may have the whole.
    """
    return whole - int(_RESERVED * whole) if device else whole


@dataclass(frozen=True, eq=False)
class _Claimant:
    amount: int
    called: asyncio.Future[None]


class FairShares:
    """An amount `whole` of something (places, bytes), of which one owner holds `each` at most.

    Who asks for more than `each` gets `each`. Of the owners who wait and may hold more, the one who holds least is
    next; of those who hold the same, the one who was last served longest ago. Small amounts do not overtake a large
    one, which would otherwise wait for ever.
    """

    def __init__(self, whole: int, each: int) -> None:
        self._whole = whole
        self._each = each
        # The amount that all owners hold together.
        self.taken = 0
        self._held: dict[Hashable, int] = {}
        self._queues: dict[Hashable, deque[_Claimant]] = {}
        # When each owner who waits or holds something was last served.
        self._served: dict[Hashable, int] = {}
        self._turn = 0

    def of(self, owner: Hashable) -> int:
        """The amount that this owner holds."""
        return self._held.get(owner, 0)

    @asynccontextmanager
    async def held(self, owner: Hashable, amount: int = 1) -> AsyncIterator[None]:
        """Wait for `amount`, and hold it while the context lasts."""
        taken = self.take_now(owner, amount) or await self.take(owner, amount)
        try:
            yield
        finally:
            self.give_back(owner, taken)

    def take_now(self, owner: Hashable, amount: int = 1) -> int:
        """Take `amount` if nobody waits and it is there. Returns the amount to give back; 0: nothing was taken."""
        amount = min(amount, self._each)
        if self._queues or self.of(owner) + amount > self._each or self.taken + amount > self._whole:
            return 0
        self._hand_out(owner, amount)
        return amount

    async def take(self, owner: Hashable, amount: int = 1) -> int:
        """Wait for `amount`. Returns the amount to give back."""
        waiting = _Claimant(min(amount, self._each), asyncio.get_running_loop().create_future())
        self._queues.setdefault(owner, deque()).append(waiting)
        self._call()
        try:
            await waiting.called
        except BaseException:
            self._leave(owner, waiting)
            raise
        return waiting.amount

    def give_back(self, owner: Hashable, amount: int) -> None:
        """Give back what `take` or `take_now` returned."""
        self.taken -= amount
        self._held[owner] = self.of(owner) - amount
        self._forget(owner)
        self._call()

    def _hand_out(self, owner: Hashable, amount: int) -> None:
        self.taken += amount
        self._held[owner] = self.of(owner) + amount
        self._turn += 1
        self._served[owner] = self._turn

    def _call(self) -> None:
        while ready := {owner: first for owner in self._queues if (first := self._first(owner)) is not None}:
            owner = min(ready, key=lambda owner: (self.of(owner), self._served.get(owner, 0)))
            first = ready[owner]
            if self.taken + first.amount > self._whole:
                return
            self._unqueue(owner, first)
            self._hand_out(owner, first.amount)
            first.called.set_result(None)

    def _first(self, owner: Hashable) -> _Claimant | None:
        """The owner's next claimant, if the owner may hold as much. Claimants that were cancelled are passed over."""
        first = next((waiting for waiting in self._queues[owner] if not waiting.called.done()), None)
        return first if first and self.of(owner) + first.amount <= self._each else None

    def _leave(self, owner: Hashable, waiting: _Claimant) -> None:
        if waiting in self._queues.get(owner, ()):
            self._unqueue(owner, waiting)
            self._forget(owner)
            self._call()
        else:
            self.give_back(owner, waiting.amount)

    def _forget(self, owner: Hashable) -> None:
        if self._held.get(owner) == 0:
            del self._held[owner]
        if owner not in self._held and owner not in self._queues:
            self._served.pop(owner, None)

    def _unqueue(self, owner: Hashable, waiting: _Claimant) -> None:
        self._queues[owner].remove(waiting)
        if not self._queues[owner]:
            del self._queues[owner]
