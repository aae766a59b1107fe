"""A companion that many devices ask: the daemon's own batcher and admission, on a lane with a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.clock import Clock
from collabd.cloud.call.batcher import Batcher
from collabd.cloud.call.places import Places
from collabd.cloud.call.work import Done, Tensors, Work
from collabd.cloud.lanes import Lanes
from collabd.cloud.ping_slots import PingSlots
from collabd.config import BatchingSettings
from collabd.simulation.inference import Took
from collabd.simulation.virtual_time import VirtualThread, VirtualWorker, sleep_until

# What a request costs beside the engine, as measured (docs/scale.md): the event loop of the companion works so long for
# a call, and for a ping. It does one after the other, beside the engine.
CALL_S, PING_S = 1e-3, 0.3e-3
# A large batch takes less processor time for each image, by this share at most. 6 to 20 % were measured.
BATCH_SAVES = 0.13
# The load that a companion reports is that of so many seconds.
_LOAD_S = 0.5
# In the place of the tensors of a request: the seconds to decode it, and those of the engine for it alone.
_DECODE, _RUN = "decode_s", "run_s"


def batch_s(alone_s: float, rows: int) -> float:
    """The engine's seconds for a batch of images that take `alone_s` together, one by one."""
    return alone_s * (1 - BATCH_SAVES * (1 - 1 / rows))


class _Runner:
    """Takes the time of the work, and computes nothing."""

    def __init__(self, lane: VirtualThread) -> None:
        self._lane = lane
        self.busy_s = 0.0

    def prepare(self, key: str, inputs: Sequence[str], outputs: Sequence[str], *, threads: int) -> None:
        """Sessions are there."""

    def clock(self, threads: int) -> Callable[[], float]:
        """Of the lane."""
        del threads
        return self._lane.now

    def run(self, key: str, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], *, threads: int) -> Tensors:
        """Nothing comes out, but later."""
        del key, outputs, threads
        run_s, decode_s = feeds[_RUN], feeds[_DECODE]
        takes_s = batch_s(float(run_s.sum()), len(run_s)) + float(decode_s.sum())
        self._lane.takes(takes_s)
        self.busy_s += takes_s
        return {}


class FleetCompanion:
    """`slowness`: how many times longer than in the profile its work takes."""

    def __init__(self, name: str, batching: BatchingSettings, *, slowness: float, clock: Clock) -> None:
        self.name = name
        self._slowness = slowness
        self._clock = clock
        lane = VirtualWorker(clock)
        self._runner = _Runner(lane)
        self.places = Places(batching.queue, clock=clock)
        self._batcher = Batcher(
            self._runner,
            Lanes(1, cores=1, new_worker=lambda _: lane),
            self.places,
            batch_max=batching.max,
            on_run=lambda *_: None,
            clock=lane.now,
        )
        self._loop_free_s = clock()
        self._sampled = (clock(), 0.0)
        self._ping_slots = PingSlots(clock)
        self.load = 0.0
        self.calls = 0
        self.pings = 0
        self.refused = 0

    @property
    def busy_s(self) -> float:
        """For how many seconds the lane has worked."""
        return self._runner.busy_s

    async def pinged(self) -> None:
        """Answer a ping, or what takes as little."""
        self.pings += 1
        await self._handled(PING_S)

    def ping_again_s(self, peer: str) -> float:
        """In how many seconds the next ping of the device is welcome."""
        return self._ping_slots.again_s(peer)

    async def answered(self, peer: str, key: str, precision: Precision, *, decode_s: float, run_s: float) -> Took:
        """Answer a request that has arrived. Raises `Overloaded`.

        `key`: which part of the network is asked for. `decode_s`, `run_s`: the companion's seconds in its profile.
        """
        self.calls += 1
        with self.places.held(peer) as place:
            await self._handled(CALL_S)
            decode_s *= self._slowness
            feeds: Tensors = {_DECODE: np.array([decode_s]), _RUN: np.array([run_s * self._slowness])}
            work = Work(key=key, feeds=feeds, outputs=(), precision=precision, group=key, rows=1)
            done: Done = await self._batcher.submit(work, place)
        compute_s = max(done.compute_s - done.batch * decode_s, 0.0)
        return Took(queue_s=done.queue_s, decode_s=decode_s, compute_s=compute_s, batch=done.batch)

    async def _handled(self, seconds: float) -> None:
        self._loop_free_s = max(self._loop_free_s, self._clock()) + seconds * self._slowness
        self._sample()
        await sleep_until(self._loop_free_s)

    def _sample(self) -> None:
        now, (since, busy_s) = self._clock(), self._sampled
        if now - since >= _LOAD_S:
            self.load = min((self.busy_s - busy_s) / (now - since), 1.0)
            self._sampled = now, self.busy_s
