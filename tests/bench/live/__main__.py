"""Run them all: `make live`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from collabd.simulation.slow_cpu import NoSlowCpu
from tests.bench.device import SHARE
from tests.bench.live import accuracy, caps, reaction
from tests.bench.live.device import RTT_S, live_device

_KEPT = Path("build/bench")


async def _measure(directory: Path) -> None:
    async with live_device(directory, _KEPT) as device:
        await accuracy.measure(device)
        await reaction.to_another_rate(device)
        await reaction.to_a_busy_processor(device)
        await caps.measure(device)


if __name__ == "__main__":
    print(
        f"The calling program and collabd have {SHARE:.0%} of a core; a link of {RTT_S * 1e3:g} ms round trip.\n"
        f"Load of the last minute before: {os.getloadavg()[0]:.1f}.\n"
    )
    with tempfile.TemporaryDirectory(prefix="collabd-live-") as scratch:
        try:
            asyncio.run(_measure(Path(scratch)))
        except NoSlowCpu as error:
            sys.exit(f"This bench needs a slow device: {error}.")
