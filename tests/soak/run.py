"""The run: clients that call, and what happens to the daemons meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collab_sdk import AsyncClient, ControlClient
from collabd.simulation.relay import Relay
from tests.soak.bed import VISITOR, SoakBed
from tests.soak.load import ALEXNET, Action, Samples, Tally, call, tour
from tests.soak.samples import Sample, look

CLIENTS = 4
RATES_MBIT = (50.0, 2.0)
RTT_S = 0.002
_SAMPLES = 400
# After each tour.
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.5
# Times per run. A companion needs seconds to start, and no restart happens in the second half.
_RATES, _RELOADS, _VISITS, _RESTARTS = 100, 40, 40, 20
_LEAST_BETWEEN_RESTARTS = 1000


@dataclass
class Soak:
    """One run of `requests` calls."""

    bed: SoakBed
    relay: Relay
    images: Samples
    requests: int
    tally: Tally = field(default_factory=Tally)
    samples: list[Sample] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Run to the end in ten parts with the same calls, with tours before each part and after the last one."""
        self.relay.set_rtt(RTT_S)
        tenth = self.requests // 10
        async with AsyncClient(self.bed.socket) as client:
            await self.bed.until_ready(client)
            await self._visit(client)
            await self._leave(client)
            schedule = self._schedule(client)
            for start in range(0, self.requests, tenth):
                await self._tour(client, start)
                await self._tenth(schedule, iter(range(start, start + tenth)))
            await self._tour(client, self.requests)

    async def _tour(self, client: AsyncClient, done: int) -> None:
        self._set_rate(RATES_MBIT[0])
        await self.bed.until_cloud_is_up(client)
        # After the first tour the caches still depend on their earlier content, which the tour may have used.
        for _ in range(2):
            self.events["calls of the tours"] += await tour(client, self.images)
        with ControlClient(self.bed.socket) as control:
            for _ in range(_LOOKS):
                await asyncio.sleep(_BETWEEN_LOOKS_S)
                self.samples += await asyncio.to_thread(look, self.bed, control, done, toured=True)

    async def _tenth(self, schedule: Mapping[int, Sequence[Action]], turns: Iterator[int]) -> None:
        async with asyncio.TaskGroup() as callers:
            for _ in range(CLIENTS):
                callers.create_task(self._caller(schedule, turns))

    async def _caller(self, schedule: Mapping[int, Sequence[Action]], turns: Iterator[int]) -> None:
        with ControlClient(self.bed.socket) as control:
            async with AsyncClient(self.bed.socket) as client:
                for turn in turns:
                    for action in schedule.get(turn, ()):
                        await action()
                    await call(client, self.images, turn % (self.requests // 10), self.tally)
                    if turn % (self.requests // _SAMPLES) == 0:
                        self.samples += await asyncio.to_thread(look, self.bed, control, turn)

    def _schedule(self, client: AsyncClient) -> dict[int, list[Action]]:
        """What to do before which call."""
        found: dict[int, list[Action]] = {}

        def every(step: int, until: int, *actions: Action) -> None:
            for place, turn in enumerate(range(step, until, step)):
                found.setdefault(turn, []).append(actions[place % len(actions)])

        every(self.requests // _RATES, self.requests, self._slow, self._fast)
        every(self.requests // _RELOADS, self.requests, self._reload)
        every(self.requests // _VISITS, self.requests, lambda: self._visit(client), lambda: self._leave(client))
        every(max(self.requests // _RESTARTS, _LEAST_BETWEEN_RESTARTS), self.requests // 2, self._restart)
        return found

    def _set_rate(self, mbit: float) -> None:
        self.relay.set_rate(mbit * 1e6 / 8)

    async def _slow(self) -> None:
        self._set_rate(RATES_MBIT[1])
        self.events["changes of the rate"] += 1

    async def _fast(self) -> None:
        self._set_rate(RATES_MBIT[0])
        self.events["changes of the rate"] += 1

    async def _reload(self) -> None:
        self.bed.reload_device()
        self.events["reloads of the device"] += 1

    async def _restart(self) -> None:
        self.bed.restart_cloud()
        self.events["restarts of the companion"] += 1

    async def _visit(self, client: AsyncClient) -> None:
        await client.load_model(self.bed.visitor)
        await client.infer(self.images[ALEXNET, "file"][0].image, model=VISITOR)
        self.events["packages added"] += 1

    async def _leave(self, client: AsyncClient) -> None:
        await client.unload_model(VISITOR)
        self.events["packages removed"] += 1
