"""Whose turn it is: bodies come in within bounds, and what came in whole takes a place while it is answered.

Neither can be one user's alone. A body that is slow in coming, or never comes, holds bytes of its user's own share and
no place; a place is held for as long as an answer takes. So whatever one user does, another's call waits until one of
those inside is done, and not for uploads nor for the crowd before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collab_sdk.errors import NotReady, Overloaded
from collabd.fair_shares import FairShares


@dataclass(frozen=True, kw_only=True)
class AdmissionLimits:
    """`places`: calls being answered. `bytes_each`: one user's bodies. `most_bytes`: those of all together.

    `waiting`: calls without a place, half for one user.
    """

    places: int
    bytes_each: int
    most_bytes: int
    waiting: int

    @property
    def places_each(self) -> int:
        """Of the places, one user's: a quarter is for others, and one at least where there are several."""
        return max(self.places - max(self.places // 4, 1), 1)

    @property
    def waiting_each(self) -> int:
        """Calls of one user that may wait."""
        return max(self.waiting // 2, 1)


@dataclass(frozen=True, eq=False)
class Arrival:
    """A call that is here; `until` runs out only where the daemon stops before the call has a place."""

    user: Hashable
    until: asyncio.Timeout


class Admission:
    """Lets calls in, by user."""

    def __init__(self, room: AdmissionLimits) -> None:
        self._room = room
        self._open = True
        self._bodies = FairShares(room.most_bytes, room.bytes_each)
        self._places = FairShares(room.places, room.places_each)
        self._here: Counter[Hashable] = Counter()
        # Those that never had a place.
        self._outside: set[Arrival] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def inside(self) -> int:
        """Calls that have a place."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """Calls that have none yet: they wait to be read, are read, or wait for a place."""
        return self._here.total() - self.inside

    @asynccontextmanager
    async def arrival(self, user: Hashable, size: int) -> AsyncIterator[Arrival]:
        """Wait until a body of `size` bytes may be read, and hold as much until the call is over.

        Raises `Overloaded` where too many wait, and `NotReady` when the daemon stops before the call has a place.
        """
        self._check(user)
        self._here[user] += 1
        self._empty.clear()
        try:
            async with self._until_stopped(user) as arrival, self._bodies.held(user, size):
                yield arrival
        finally:
            self._here -= Counter({user: 1})
            if not self._here:
                self._empty.set()

    @asynccontextmanager
    async def place(self, arrival: Arrival) -> AsyncIterator[None]:
        """Wait for a place, and hold it: from then on the call is answered, even if the daemon stops."""
        async with self._places.held(arrival.user):
            self._outside.discard(arrival)
            arrival.until.reschedule(None)
            yield

    async def close(self, patience_s: float) -> None:
        """Tell who has no place, and return when all have left or `patience_s` is over."""
        self._open = False
        for arrival in self._outside:
            arrival.until.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            pass

    @asynccontextmanager
    async def _until_stopped(self, user: Hashable) -> AsyncIterator[Arrival]:
        arrival = Arrival(user, asyncio.timeout(None))
        self._outside.add(arrival)
        try:
            async with arrival.until:
                yield arrival
        except TimeoutError:
            if arrival.until.expired():
                raise _stopping() from None
            raise
        finally:
            self._outside.discard(arrival)

    def _check(self, user: Hashable) -> None:
        if not self._open:
            raise _stopping()
        waiting, own = self.waiting, self._here[user] - self._places.of(user)
        if own >= self._room.waiting_each or waiting >= self._room.waiting:
            raise Overloaded(
                f"{waiting} calls already wait, {own} of them yours; try again later",
                {"waiting": waiting, "yours": own},
            )


def _stopping() -> NotReady:
    return NotReady("collabd is stopping: call again, and the next collabd will answer")
