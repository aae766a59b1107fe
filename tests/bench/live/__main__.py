"""Run them all: both daemons, one relay."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import psutil

from collab_sdk import AsyncClient
from collabd.simulation.samples import load_samples
from tests.bench.live import accuracy, caps, reaction
from tests.bench.live.bed import OTHER_CORE, RTT_S, SLOWDOWN, PinnedBed
from tests.bench.shipped import MODELS

_IMAGES = 8


async def _main(directory: Path) -> None:
    samples = load_samples(MODELS, _IMAGES)
    bed = PinnedBed(MODELS, directory)
    async with bed.relay() as relay:
        relay.set_rtt(RTT_S)
        with bed:
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client)
                await accuracy.measure(client, relay, samples)
                await reaction.measure(client, relay, samples)
                await caps.measure(client, relay, samples)


if __name__ == "__main__":
    print(
        f"Both daemons, a core and a thread each; the device emulated {SLOWDOWN:g}x slower; a relay of "
        f"{RTT_S * 1e3:g} ms round trip. Load of the last minute before: {os.getloadavg()[0]:.1f}.\n"
    )
    psutil.Process().cpu_affinity([OTHER_CORE])
    with tempfile.TemporaryDirectory(prefix="collabd-live-") as scratch:
        asyncio.run(_main(Path(scratch)))
