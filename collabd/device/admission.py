"""Whose turn it is: a few calls are inside, where they hold memory; the others wait, most of their bodies not read.

Of those who wait, the user with the fewest calls inside is next, and of equals who has not been let in for longest. So
however many calls one user makes, another's waits until one of those inside is done, and not for the crowd before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collab_sdk.errors import NotReady, Overloaded


@dataclass(frozen=True)
class Room:
    """`places`: calls inside. `most_bytes`: of all their bodies. `waiting`: calls at the door, half for one user."""

    places: int
    most_bytes: int
    waiting: int

    @property
    def waiting_each(self) -> int:
        """Calls of one user that may wait."""
        return max(self.waiting // 2, 1)


@dataclass(frozen=True, eq=False)
class _Waiting:
    size: int
    called: asyncio.Future[None]


class Admission:
    """Lets calls in, by user."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._open = True
        self._inside: Counter[Hashable] = Counter()
        self._bytes = 0
        # In the order in which users were last served.
        self._queues: dict[Hashable, deque[_Waiting]] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def inside(self) -> int:
        """Calls that are inside."""
        return self._inside.total()

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def place(self, user: Hashable, size: int) -> AsyncIterator[None]:
        """Wait for a place, and hold it; the body has `size` bytes at most.

        Raises `Overloaded` where too many wait, and `NotReady` when the daemon stops.
        """
        self._check(user)
        waiting = _Waiting(size, asyncio.get_running_loop().create_future())
        self._queues.setdefault(user, deque()).append(waiting)
        self._call_in()
        try:
            await waiting.called
            yield
        finally:
            self._leave(user, waiting)

    async def close(self, patience_s: float) -> None:
        """Let nobody in any more, tell who waits, and return when all have left or `patience_s` is over."""
        self._open = False
        for waiting in (waiting for queue in self._queues.values() for waiting in queue):
            if not waiting.called.done():
                waiting.called.set_exception(_stopping())
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            pass

    def _check(self, user: Hashable) -> None:
        if not self._open:
            raise _stopping()
        waiting, own = self.waiting, len(self._queues.get(user, ()))
        if own >= self._room.waiting_each or waiting >= self._room.waiting:
            raise Overloaded(
                f"{waiting} calls wait already, {own} of them yours; try again later",
                {"waiting": waiting, "yours": own},
            )

    def _call_in(self) -> None:
        """Let in who is next, as long as there is room. A large body is not overtaken by small ones."""
        while self._open and self._queues:
            user = min(self._queues, key=self._inside.__getitem__)
            queue = self._queues[user]
            if not self._fits(queue[0].size):
                return
            first = queue.popleft()
            del self._queues[user]
            if queue:
                self._queues[user] = queue
            self._inside[user] += 1
            self._bytes += first.size
            self._empty.clear()
            first.called.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self.inside or (self.inside < self._room.places and self._bytes + size <= self._room.most_bytes)

    def _leave(self, user: Hashable, waiting: _Waiting) -> None:
        queue = self._queues.get(user)
        if queue is not None and waiting in queue:
            queue.remove(waiting)
            if not queue:
                del self._queues[user]
        else:
            self._bytes -= waiting.size
            self._inside[user] -= 1
            if not self._inside[user]:
                del self._inside[user]
        if not self.inside:
            self._empty.set()
        self._call_in()


def _stopping() -> NotReady:
    return NotReady("collabd is stopping; ask again, the next one will answer")
