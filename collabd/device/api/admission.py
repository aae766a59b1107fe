"""Admits calls: limits the bytes of their bodies, and how many calls are answered at the same time.

A call holds bytes from before its body is read until the call has ended. When its body is complete, the call takes a
place, and holds it until it is answered. No user can take all bytes or all places. A slow upload holds only bytes of
its user's share, and no place. So a call of another user never waits for slow uploads or for a crowd of calls: it waits
until one place becomes free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

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


class Arrival:
    """A call that has arrived. Use it as a context: leaving it gives back the bytes and the place of the call.

    If the daemon stops before the call has a place, the call's task is cancelled, and the context raises `NotReady`.
    """

    __slots__ = ("_admission", "_bytes", "_places", "_stopped", "_task", "user")

    def __init__(self, admission: Admission, user: Hashable) -> None:
        self.user = user
        self._admission = admission
        self._task = asyncio.current_task()
        self._stopped = False
        self._bytes = 0
        self._places = 0

    def take_bytes_now(self, size: int) -> bool:
        """Hold bytes for a body of `size` bytes, if there are as many. Returns whether they are held."""
        self._bytes = self._admission.bodies.take_now(self.user, size)
        return self._bytes > 0

    async def take_bytes(self, size: int) -> None:
        """Wait for the bytes, and hold them."""
        self._bytes = await self._admission.bodies.take(self.user, size)

    def take_place_now(self) -> bool:
        """Hold a place, if one is free. Returns whether it is held."""
        self._places = self._admission.places.take_now(self.user)
        if self._places:
            self._admission.outside.discard(self)
        return self._places > 0

    async def take_place(self) -> None:
        """Wait for a place, and hold it. From then on the call is answered even if the daemon stops."""
        self._places = await self._admission.places.take(self.user)
        self._admission.outside.discard(self)

    def stop(self) -> None:
        """The daemon stops, and this call has no place."""
        if self._task is not None:
            self._stopped = self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        admission = self._admission
        admission.outside.discard(self)
        if self._places:
            admission.places.give_back(self.user, self._places)
        if self._bytes:
            admission.bodies.give_back(self.user, self._bytes)
        admission.leave(self.user)
        if self._stopped and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise _stopping() from None


class Admission:
    """Admits calls, and shares bytes and places between users."""

    def __init__(self, room: AdmissionLimits) -> None:
        self._room = room
        self._open = True
        self.bodies = FairShares(room.most_bytes, room.bytes_each)
        self.places = FairShares(room.places, room.places_each)
        # How many calls of each user are here, and of all users.
        self._here: dict[Hashable, int] = {}
        self._all_here = 0
        # The calls that have had no place yet.
        self.outside: set[Arrival] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def inside(self) -> int:
        """How many calls have a place."""
        return self.places.taken

    @property
    def waiting(self) -> int:
        """How many calls have no place: they wait to be read, are being read, or wait for a place."""
        return self._all_here - self.inside

    def arrive(self, user: Hashable) -> Arrival:
        """A call of `user` has arrived. Its next step is `Arrival.take_bytes`.

        Raises `Overloaded` if too many calls wait, and `NotReady` if the daemon stops.
        """
        if not self._open:
            raise _stopping()
        here, waiting = self._here.get(user, 0), self.waiting
        own = here - self.places.of(user)
        if own >= self._room.waiting_each or waiting >= self._room.waiting:
            raise Overloaded(
                f"{waiting} calls already wait, {own} of them yours; try again later",
                {"waiting": waiting, "yours": own},
            )
        self._here[user] = here + 1
        self._all_here += 1
        self._empty.clear()
        arrival = Arrival(self, user)
        self.outside.add(arrival)
        return arrival

    def leave(self, user: Hashable) -> None:
        """A call of `user` has ended. `Arrival` says so."""
        self._here[user] -= 1
        if not self._here[user]:
            del self._here[user]
        self._all_here -= 1
        if not self._all_here:
            self._empty.set()

    async def close(self, patience_s: float) -> None:
        """Refuse the calls without a place. Return when all calls have ended, or after `patience_s` seconds."""
        self._open = False
        for arrival in tuple(self.outside):
            arrival.stop()
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            pass


def _stopping() -> NotReady:
    return NotReady("collabd is stopping: call again, and the next collabd will answer")
