"""The door for inference calls: it admits them, and notes when each call arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiohttp import web

from collab_sdk import wire
from collabd.clock import Clock
from collabd.device.api.admission import Admission, AdmissionLimits, Arrival
from collabd.device.api.dataplane import DeviceDataPlane
from collabd.device.api.hangups import Hangups
from collabd.device.api.shared_memory import SharedMemory
from collabd.device.counters import Counters
from collabd.device.lane.turns import USER
from collabd.fair_shares import FairShares
from collabd.http.bodies import BODY, largest_body
from collabd.http.protocol import Infer


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
        user_of: Callable[[web.Request], Hashable],
    ) -> None:
        self._plane = plane
        self._counters = counters
        self._clock = clock
        self._user_of = user_of
        self._max_request_bytes = max_request_bytes
        self._admission = Admission(limits)
        self._memory = memory
        # What is read from shared memory has the same bounds as bodies, and its own share: who waits for it holds one
        # of the other.
        self._snapshots = FairShares(limits.most_bytes, limits.bytes_each)
        self._hangups = Hangups()

    @asynccontextmanager
    async def __call__(self, request: web.Request) -> AsyncIterator[Infer]:
        """Wait until the body may be read; yield what answers the call. Raises `Overloaded`, `NotReady`."""
        arrived = self._clock() - wire.waited_s(request.headers)
        user, size = self._user_of(request), largest_body(request, self._max_request_bytes)
        with self._hangups.watched(request.transport):
            async with AsyncExitStack() as stack:
                with self._counters.at_the_door():
                    arrival = await stack.enter_async_context(self._admission.arrival(user, size))
                try:
                    yield partial(self._infer, arrival=arrival, arrived=arrived)
                finally:
                    # aiohttp keeps a request until the next one on its connection, so free the body now.
                    request.pop(BODY, None)

    async def _infer(
        self, name: str, request: wire.InferRequest, *, arrival: Arrival, arrived: float
    ) -> wire.InferResponse:
        async with AsyncExitStack() as stack:
            with self._counters.at_the_door():
                if size := self._memory.size_of(arrival.user, request):
                    await stack.enter_async_context(self._snapshots.held(arrival.user, size))
                await stack.enter_async_context(self._admission.place(arrival))
            if size:
                request = await self._memory.read(arrival.user, request)
            USER.set(arrival.user)
            return await self._plane.infer(name, request, arrived)

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
        self._hangups.close()
