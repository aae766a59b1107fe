"""Run them all, print the tables, and keep and draw what was found: `make live`."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
import tempfile
from pathlib import Path

import msgspec

from collabd.simulation.slow_cpu import NoSlowCpu
from tests.bench.device import SHARE
from tests.bench.live import accuracy, caps, reaction
from tests.bench.live.device import RTT_S, live_device
from tests.bench.live.plot import plot
from tests.bench.live.report import LiveReport

_KEPT = Path("build/bench")


async def _measured(directory: Path, load: float) -> LiveReport:
    async with live_device(directory, _KEPT) as device:
        return LiveReport(
            date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            load=load,
            share=SHARE,
            due=reaction.DUE,
            predicted=await accuracy.measure(device),
            reactions=[*await reaction.to_another_rate(device), *await reaction.to_a_busy_processor(device)],
            capped=await caps.measure(device),
        )


def _keep(report: LiveReport) -> None:
    (_KEPT / "live.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    plot(report, _KEPT / "live.png")
    print(f"The calls are in {_KEPT}/live.json, drawn in live.png.")


if __name__ == "__main__":
    load_before = os.getloadavg()[0]
    print(
        f"The calling program and collabd have {SHARE:.0%} of a core; a link of {RTT_S * 1e3:g} ms round trip.\n"
        f"Load of the last minute before: {load_before:.1f}.\n"
    )
    with tempfile.TemporaryDirectory(prefix="collabd-live-") as scratch:
        try:
            _keep(asyncio.run(_measured(Path(scratch), load_before)))
        except NoSlowCpu as error:
            sys.exit(f"This bench needs a slow device: {error}.")
