"""Whether what was sampled stayed flat, by rules that were fixed before the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from collabd.config import EngineSettings
from collabd.engine import session_bytes
from tests.soak.samples import Sample, Side

# Shares of the run. The run compares samples from right after a tour, which calls every cut of every network in every
# codec. Between tours the plans decide which sessions are cached, and one session may have 16 MB. The first tenth is
# the warm-up. The companion is restarted many times in the first half, so its warm-up is the sixth tenth.
WINDOWS: Mapping[Side, tuple[float, float]] = {"device": (0.1, 0.2), "cloud": (0.6, 0.7)}
END = (0.9, 1.0)


@dataclass(frozen=True)
class Measure:
    """What must not grow: by no more than this share of what it was and this on top, or not above this limit.

    Without either it is shown, and not judged.
    """

    name: str
    share: float | None = None
    extra: float = 0.0
    limit: float | None = None

    def allowed(self, before: float) -> float | None:
        """By how much it may grow."""
        if self.limit is not None:
            return self.limit - before
        return None if self.share is None else self.share * before + self.extra


MEASURES = (
    Measure("rss_mb", 0.02),
    # The cache of sessions is limited in bytes. The plans decide which sessions it holds, and one may have 16 MB.
    Measure("session_mb", limit=session_bytes(EngineSettings().cache_mb) / 1e6),
    Measure("sessions"),
    # Resident memory less the sessions.
    Measure("rest_mb", 0.02),
    # The clients' connections, and those to the companion, are as many as calls happen to be in flight.
    Measure("fds", 0.0, 6),
    Measure("sockets", 0.0, 6),
    # Threads without those of the sessions. A pool starts a new thread when all others are busy, up to its limit.
    Measure("threads", 0.0, 4),
)


@dataclass(frozen=True)
class Row:
    """One measure of one daemon: medians after the tours of the two windows, and the slope for 10,000 requests."""

    side: Side
    measure: str
    before: float
    after: float
    slope: float
    allowed: float | None

    @property
    def flat(self) -> bool:
        """Whether it may have grown so much."""
        return self.allowed is None or self.after <= self.before + self.allowed


def rows(samples: Sequence[Sample], requests: int) -> list[Row]:
    """Both daemons by all measures. Raises `ValueError` where a window holds no sample."""
    return [_row(samples, requests, side, measure) for side in WINDOWS for measure in MEASURES]


def _row(samples: Sequence[Sample], requests: int, side: Side, measure: Measure) -> Row:
    points = [
        (sample.requests, sample.figures[measure.name]) for sample in samples if sample.side == side and sample.toured
    ]
    settled = WINDOWS[side]
    before, after = (_median(points, requests, window) for window in (settled, END))
    places, values = zip(*_within(points, requests, (settled[0], 1.0)), strict=True)
    slope = float(np.polyfit(np.array(places) / 10_000, values, 1)[0])
    return Row(side, measure.name, before, after, slope, measure.allowed(before))


def _median(points: Sequence[tuple[int, float]], requests: int, window: tuple[float, float]) -> float:
    inside = [value for _, value in _within(points, requests, window)]
    if not inside:
        raise ValueError(f"no sample between {window[0]:.0%} and {window[1]:.0%} of the run")
    return median(inside)


def _within(points: Sequence[tuple[int, float]], requests: int, window: tuple[float, float]) -> list[tuple[int, float]]:
    first, last = (share * requests for share in window)
    return [point for point in points if first <= point[0] <= last]
