"""What became of the calls of a fleet, and what the companions did meanwhile, window by window."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collabd.simulation.fleet.companion import FleetCompanion
from collabd.simulation.virtual_time import sleep_until

# The figures of a fleet are means over windows of so many seconds.
WINDOW_S = 2.0
Column = npt.NDArray[np.float64]


@dataclass(kw_only=True)
class FleetCalls:
    """One entry a call: whose it was, when it began, its seconds, and whether a companion's answer was the call's."""

    device: list[int] = field(default_factory=list)
    began_s: list[float] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    answered_there: list[bool] = field(default_factory=list)
    asked_there: list[bool] = field(default_factory=list)
    # One list a window: for which share of it each companion worked, and how many waited in its queue at its end.
    busy: list[list[float]] = field(default_factory=list)
    queued: list[list[int]] = field(default_factory=list)

    def add(self, device: int, began_s: float, latency_s: float, *, there: bool, asked: bool) -> None:
        """A call has ended."""
        self.device.append(device)
        self.began_s.append(began_s)
        self.latency_s.append(latency_s)
        self.answered_there.append(there)
        self.asked_there.append(asked)

    async def sample(self, companions: Sequence[FleetCompanion], until_s: float) -> None:
        """Note at the end of each window what the companions did in it."""
        clock = asyncio.get_running_loop().time
        before = [companion.busy_s for companion in companions]
        while (ends_s := clock() + WINDOW_S) <= until_s + 1e-6:
            await sleep_until(ends_s)
            now = [companion.busy_s for companion in companions]
            self.busy.append([(b - a) / WINDOW_S for a, b in zip(before, now, strict=True)])
            self.queued.append([companion.places.waiting for companion in companions])
            before = now

    def by_window(self, values: Sequence[float], windows: int) -> Column:
        """The mean of a figure of the calls that began in each window."""
        window = (np.array(self.began_s) / WINDOW_S).astype(int)
        kept = window < windows
        counts = np.bincount(window[kept], minlength=windows)
        sums = np.bincount(window[kept], weights=np.array(values, np.float64)[kept], minlength=windows)
        return sums / np.maximum(counts, 1)
