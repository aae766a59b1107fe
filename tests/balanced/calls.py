"""Calls through a device whose companions are killed, drained, slowed and started anew meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collab_sdk import AsyncClient, CollabError
from collabd.catalog.package.package import Package
from tests.balanced.bed import BalancedBed

# Calls that are under way at the same time.
_AT_ONCE = 4
_CODEC = "f32"
# What a result says of an answer that took so long that the device computed it as well.
_LATE = "did not answer within"


@dataclass
class Tally:
    """What became of the calls of one act.

    `late`: those whose answer the device did not wait for any longer. `failed`: why the device had to make others good.
    """

    name: str
    calls: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: int = 0
    by_companions: int = 0
    late: int = 0
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = f"{len(self.lost)} lost, {self.wrong} wrong"
        return (
            f"{self.name:10} {self.calls:6} calls: {ends}, {self.by_companions} answered by companions, "
            f"{self.late} late, {len(self.failed)} failed there"
        )


class Caller:
    """Asks for answers of which it knows what they must be: those of the device alone."""

    def __init__(self, client: AsyncClient, package: Package, images: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._client = client
        self._images = images
        self._cut = package.manifest.cuts[1].name
        self._expected: list[npt.NDArray[np.float32]] = []

    async def prepare(self) -> None:
        """Have the answers of the device alone."""
        for image in self._images:
            alone = await self._client.infer(image, cut="output")
            self._expected.append(alone.scores)

    async def act(self, name: str, calls: int, meanwhile: Callable[[], Awaitable[object]] | None = None) -> Tally:
        """Make at least so many calls, and go on until what happens `meanwhile`, begun at the tenth part, has ended."""
        tally, numbers = Tally(name), iter(range(10**9))
        begun, ended = asyncio.Event(), asyncio.Event()

        async def happen() -> None:
            try:
                await begun.wait()
                if meanwhile is not None:
                    await meanwhile()
            finally:
                ended.set()

        async def call() -> None:
            while (number := next(numbers)) < calls or not ended.is_set():
                if number >= calls // 10:
                    begun.set()
                await self._call(number % len(self._images), tally)

        async with asyncio.TaskGroup() as group:
            group.create_task(happen())
            for _ in range(_AT_ONCE):
                group.create_task(call())
        return tally

    async def _call(self, which: int, tally: Tally) -> None:
        tally.calls += 1
        try:
            result = await self._client.infer(self._images[which], cut=self._cut, codec=_CODEC)
        except CollabError as error:
            tally.lost.append(str(error))
            return
        tally.wrong += not np.allclose(result.scores, self._expected[which], atol=1e-5)
        tally.by_companions += result.ran == result.plan.placement
        if result.degraded and _LATE in result.why:
            tally.late += 1
        elif result.degraded:
            tally.failed.append(result.why)


async def play(bed: BalancedBed, package: Package, images: Sequence[npt.NDArray[np.uint8]], calls: int) -> list[Tally]:
    """All acts, each of a quarter of the calls. Returns what became of them."""

    async def drained() -> None:
        bed.stop("one")
        assert await bed.gone("one") == 0
        bed.start("one")
        await bed.up("one")

    async def killed() -> None:
        bed.kill("two")
        await bed.down("two")
        bed.start("two")
        await bed.up("two")

    async with AsyncClient(bed.socket, timeout_s=60) as client:
        await bed.until_ready(client)
        caller = Caller(client, package, images)
        await caller.prepare()
        tallies = [await caller.act("all well", calls // 4)]
        tallies.append(await caller.act("one drained", calls // 4, drained))
        tallies.append(await caller.act("one killed", calls // 4, killed))
        with bed.slowed("three"):
            tallies.append(await caller.act("one slowed", calls // 4))
    return tallies
