"""How busy this machine is, sampled in the background so that a reply never waits for it."""

from __future__ import annotations

import asyncio

import psutil

_INTERVAL_S = 0.5


class LoadMeter:
    """`value`: the share of all processors' time, 0..1, that was used in the last half second."""

    def __init__(self) -> None:
        self.value = 0.0

    async def warm_up(self) -> None:
        """Take the first sample, over a tenth of a second."""
        psutil.cpu_percent()
        await asyncio.sleep(0.1)
        self._sample()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self._sample()

    def _sample(self) -> None:
        self.value = min(psutil.cpu_percent() / 100, 1.0)
