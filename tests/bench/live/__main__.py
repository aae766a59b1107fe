"""Run them all: both daemons, one relay."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from collab_sdk import AsyncClient
from collabd.simulation.demo import Samples
from collabd.simulation.relay import Relay
from collabd.simulation.samples import load_samples
from collabd.simulation.testbed import COLLABD
from tests.bench.live import accuracy, caps, reaction
from tests.bench.live.bed import OTHER_CORE, RTT_S, SLOWDOWN, PinnedBed
from tests.bench.shipped import MODELS
from tests.slowed import slowed_collabd

_IMAGES = 8


async def _emulated(samples: Samples, directory: Path) -> None:
    """A device much slower than its companion, which has reason to send."""
    async with _running(directory, slowed_collabd(SLOWDOWN)) as (client, relay):
        await accuracy.measure(client, relay, samples)
        await reaction.to_a_tenth_of_the_rate(client, relay, samples, fast_mbit=50)
        await caps.measure(client, relay, samples)


async def _as_it_is(samples: Samples, directory: Path) -> None:
    """An emulated device mostly waits, so other processes on its core hardly slow it down."""
    async with _running(directory, COLLABD) as (client, relay):
        await reaction.to_a_busy_processor(client, relay, samples, mbit=50)


@asynccontextmanager
async def _running(directory: Path, device: Sequence[str]) -> AsyncIterator[tuple[AsyncClient, Relay]]:
    bed = PinnedBed(MODELS, directory, device)
    async with bed.relay() as relay:
        relay.set_rtt(RTT_S)
        with bed:
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client)
                yield client, relay


if __name__ == "__main__":
    print(
        f"Both daemons, a core and a thread each; the device emulated {SLOWDOWN:g}x slower\n"
        f"except where others take its core; a relay of "
        f"{RTT_S * 1e3:g} ms round trip. Load of the last minute before: {os.getloadavg()[0]:.1f}.\n"
    )
    psutil.Process().cpu_affinity([OTHER_CORE])
    networks = load_samples(MODELS, _IMAGES)
    for measure in (_emulated, _as_it_is):
        with tempfile.TemporaryDirectory(prefix="collabd-live-") as scratch:
            asyncio.run(measure(networks, Path(scratch)))
