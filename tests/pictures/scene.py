"""What pictures of collabd at work show: both daemons, a link that changes, and calls of several models and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from collab_sdk import AsyncClient, CollabError
from collabd.simulation.relay import Relay
from collabd.simulation.slow_cpu import NoSlowCpu, SlowCpu
from collabd.simulation.testbed import COLLABD, Testbed

ROOT = Path(__file__).parents[2]
SHARE = 0.2
RTT_S = 0.006
# Mbit/s: a link that is good, poor, and good again.
RATES = (60.0, 45.0, 25.0, 12.0, 18.0, 35.0, 50.0)
STAGE_S = 6.0


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Asks about one picture after the other. `as_frames`: as pixels, which a camera gives. `pause_s`: between two."""

    model: str
    pictures: str
    budget: str
    pause_s: float
    stream: str = ""
    as_frames: bool = False

    async def calls(self, client: AsyncClient) -> None:
        """Call until cancelled."""
        for picture in cycle(self._pictures()):
            try:
                await client.infer(picture, self.budget, model=self.model, stream=self.stream or None)
            except CollabError as error:
                print(f"{self.model}: {error}")
            await asyncio.sleep(self.pause_s)

    def _pictures(self) -> Sequence[Path | np.ndarray]:
        paths = sorted((ROOT / "models/samples").glob(self.pictures))
        return [np.asarray(Image.open(path).convert("RGB")) for path in paths] if self.as_frames else paths


CALLERS = (
    Caller(model="efficientnet_lite0", pictures="photos/*.jpg", budget="min-energy,99%", pause_s=1.6, as_frames=True),
    Caller(model="nanodet_g", pictures="objects/*.jpg", budget="min-energy", pause_s=2.3, stream="front-door"),
    Caller(model="nanodet_g", pictures="objects/dogs.jpg", budget="cost 0", pause_s=2.9, stream="yard"),
    Caller(model="selfie", pictures="photos/*.jpg", budget="cost 0", pause_s=3.1),
    Caller(model="vgg16_cifar10", pictures="cifar10/*/*.jpg", budget="min-energy", pause_s=1.1),
)


@asynccontextmanager
async def at_work(directory: Path) -> AsyncIterator[Testbed]:
    """The daemons, whose device is slow in all that it does, with calls under way and the link changing."""
    with _slow_command() as command:
        bed = Testbed(ROOT / "models", directory, device=command, settings="[engine]\nthreads = 1\n")
        async with bed.relay() as relay:
            relay.set_rtt(RTT_S)
            with bed:
                async with AsyncClient(bed.socket) as client:
                    await bed.until_ready(client)
                    tasks = [asyncio.create_task(_weather(relay))]
                    tasks += [asyncio.create_task(caller.calls(client)) for caller in CALLERS]
                    try:
                        yield bed
                    finally:
                        for task in tasks:
                            task.cancel()
                        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _slow_command() -> Iterator[Sequence[str]]:
    with ExitStack() as stack:
        try:
            slow = stack.enter_context(SlowCpu(SHARE))
        except NoSlowCpu as reason:
            print(f"the device is as fast as this machine: {reason}")
            yield COLLABD
        else:
            yield slow.command(COLLABD)


async def _weather(relay: Relay) -> None:
    for rate in cycle(RATES):
        relay.set_rate(rate * 1e6 / 8)
        await asyncio.sleep(STAGE_S)
