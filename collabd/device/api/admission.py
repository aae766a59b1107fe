"""Admits calls: limits the bytes of their bodies, and how many calls are answered at the same time.

A call holds bytes from before its body is read until the call has ended. When its body is complete, the call takes a
place, and holds it until it is answered. No user can take all bytes or all places. A slow upload holds only bytes of
its user's share, and no place. So a call of another user never waits for slow uploads or for a crowd of calls: it waits
until one place becomes free.
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
    """`places`: how many calls may be answered at the same time. `waiting`: how many calls may wait without a place.

    `bytes_each`: bytes of the bodies of one user. `most_bytes`: bytes of all bodies together. One user may have at most
    half of the waiting calls.
    """

    places: int
    bytes_each: int
    most_bytes: int
    waiting: int

    @property
    def places_each(self) -> int:
        """How many places one user may have: a quarter is kept for others, at least one if there are several."""
        return max(self.places - max(self.places // 4, 1), 1)

    @property
    def waiting_each(self) -> int:
        """How many calls of one user may wait."""
        return max(self.waiting // 2, 1)


@dataclass(frozen=True, eq=False)
class Arrival:
    """A call that has arrived. `until` expires only if the daemon stops before the call has a place."""

    user: Hashable
    until: asyncio.Timeout


class Admission:
    """Admits calls, and shares bytes and places between users."""

    def __init__(self, room: AdmissionLimits) -> None:
        self._room = room
        self._open = True
        self._bodies = FairShares(room.most_bytes, room.bytes_each)
        self._places = FairShares(room.places, room.places_each)
        self._here: Counter[Hashable] = Counter()
        # The calls that have had no place yet.
        self._outside: set[Arrival] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def inside(self) -> int:
        """How many calls have a place."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many calls have no place: they wait to be read, are being read, or wait for a place."""
        return self._here.total() - self.inside

    @asynccontextmanager
    async def arrival(self, user: Hashable, size: int) -> AsyncIterator[Arrival]:
        """Wait until a body of `size` bytes may be read, and hold these bytes until the call has ended.

        Raises `Overloaded` if too many calls wait, and `NotReady` when the daemon stops before the call has a place.
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
        """Wait for a place and hold it. A call that has a place is answered even if the daemon stops."""
        async with self._places.held(arrival.user):
            self._outside.discard(arrival)
            arrival.until.reschedule(None)
            yield

    async def close(self, patience_s: float) -> None:
        """Refuse the calls without a place. Return when all calls have ended, or after `patience_s` seconds."""
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
