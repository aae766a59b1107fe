"""The door for inference calls: it admits them, and notes when each call arrived."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Self

from aiohttp import web

from collab_sdk import wire
from collab_sdk.errors import CollabError
from collabd.clock import Clock
from collabd.device.api.admission import Admission, AdmissionLimits, Arrival
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.hangups import Hangups
from collabd.device.api.local_peers import head_of
from collabd.device.api.shared_memory import SharedMemory
from collabd.device.counters import Counters
from collabd.device.lane.turns import USER
from collabd.fair_shares import FairShares
from collabd.http.plain import RequestHead


class DeviceDoor:
    """A `collabd.http.protocol.Door` in front of `plane`. Create it while the event loop runs."""

    def __init__(
        self,
        plane: DeviceDataPlane,
        limits: AdmissionLimits,
        *,
        memory: SharedMemory,
        max_request_bytes: int,
        counters: Counters,
        clock: Clock,
        user_of: Callable[[RequestHead], Hashable],
    ) -> None:
        self.plane = plane
        self.counters = counters
        self._clock = clock
        self._user_of = user_of
        self._max_request_bytes = max_request_bytes
        self._admission = Admission(limits)
        self.memory = memory
        # What is read from shared memory has the same bounds as bodies, but a share of its own: a call that waits for
        # it holds bytes of the other.
        self.snapshots = FairShares(limits.most_bytes, limits.bytes_each)
        self.hangups = Hangups()

    def __call__(self, request: web.Request) -> DeviceVisit:
        """The visit of a call that arrives now. Raises `Overloaded`, `NotReady`."""
        return self.visit(head_of(request, self._max_request_bytes))

    def visit(self, head: RequestHead) -> DeviceVisit:
        """The visit of a call with this head, which arrives now. Raises `Overloaded`, `NotReady`."""
        arrived = self._clock() - wire.waited_s(head.headers)
        try:
            arrival = self._admission.arrive(self._user_of(head))
        except CollabError as error:
            self.counters.refused(error.code)
            raise
        return DeviceVisit(self, head, arrival, arrived=arrived)

    @property
    def inside(self) -> int:
        """How many calls have a place."""
        return self._admission.inside

    @property
    def waiting(self) -> int:
        """How many calls have no place yet."""
        return self._admission.waiting

    async def shut(self, patience_s: float) -> None:
        """Admit no more calls. Return when all calls have been answered, or after `patience_s` seconds."""
        await self._admission.close(patience_s)

    def close(self) -> None:
        """Stop watching for hang-ups. Call this when no more calls can arrive."""
        self.hangups.close()


class DeviceVisit:
    """A `collabd.http.protocol.Visit`: one call, from its arrival to its answer."""

    __slots__ = ("_arrival", "_arrived", "_door", "_head")

    def __init__(self, door: DeviceDoor, head: RequestHead, arrival: Arrival, *, arrived: float) -> None:
        """`arrived`: when the call arrived, on the daemon's clock."""
        self._door = door
        self._head = head
        self._arrival = arrival
        self._arrived = arrived

    async def may_read(self) -> None:
        """Wait until the body may be read."""
        if self._arrival.take_bytes_now(self._head.body_bytes):
            return
        # Nobody reads from the connection meanwhile, so the event loop would not notice that the caller hangs up.
        with self._door.counters.waits(), self._door.hangups.watched(self._head.transport):
            await self._arrival.take_bytes(self._head.body_bytes)

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        """Wait for a place, and answer the call."""
        user = self._arrival.user
        size = self._door.memory.size_of(user, request)
        if not size:
            return await self._infer(name, request)
        snapshots = self._door.snapshots
        taken = snapshots.take_now(user, size) or await snapshots.take(user, size)
        try:
            return await self._infer(name, request, shared=True)
        finally:
            snapshots.give_back(user, taken)

    async def _infer(self, name: str, request: wire.InferRequest, *, shared: bool = False) -> wire.InferResponse:
        if not self._arrival.take_place_now():
            with self._door.counters.waits():
                await self._arrival.take_place()
        if shared:
            request = await self._door.memory.read(self._arrival.user, request)
        USER.set(self._arrival.user)
        return await self._door.plane.infer(name, request, self._arrived, caller_s=wire.caller_s(self._head.headers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._arrival.__exit__(kind, error, traceback)
        except CollabError as stopped:
            self._door.counters.refused(stopped.code)
            raise
