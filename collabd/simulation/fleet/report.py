"""What a fleet got. One report serves both the table and the JSON output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from collabd.simulation.fleet.calls import WINDOW_S, Column, FleetCalls
from collabd.simulation.fleet.companion import FleetCompanion
from collabd.simulation.fleet.scenario import FleetScenario
from collabd.simulation.fleet.static import StaticShare

# The figures of a fleet are those of the last third: before, devices find out how often they may ask.
_SETTLES = 2 / 3


class FleetWindows(TypedDict):
    """One figure a window: mean latency, the share of calls that companions answered and that were sent there, the mean
    load of the companions and the mean length of their queues."""

    seconds: float
    latency_ms: list[float]
    offloaded: list[float]
    asked: list[float]
    load: list[float]
    queued: list[float]


class FleetReport(TypedDict):
    """The results for one number of devices. Figures are those after the fleet has settled.

    `offloaded`, `asked`: the share of calls that companions answered, and that were sent there. `oscillation_*`: the
    standard deviation over windows, as a share of the mean: of the share offloaded, and of each companion's load (the
    mean over companions). `static_*`: of the best share found by search, of whatever kind; `random_ms`: of the best
    share of calls that ask by chance; `alone_ms`: nobody asks.
    """

    devices: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    offloaded: float
    asked: float
    load: float
    refused_per_s: float
    pings_per_s: float
    oscillation_offloaded: float
    oscillation_load: float
    static_ms: float
    static_share: float
    random_ms: float
    alone_ms: float
    vs_static: float
    vs_random: float
    windows: FleetWindows


def fleet_report(
    scenario: FleetScenario,
    calls: FleetCalls,
    companions: Sequence[FleetCompanion],
    *,
    static: Sequence[StaticShare],
) -> FleetReport:
    """The report of one run. `static`: the best share, the other kind's best share, and no share."""
    windows = len(calls.busy)
    settled = int(windows * _SETTLES)
    began, latency = np.array(calls.began_s), np.array(calls.latency_s) * 1e3
    kept = began >= settled * WINDOW_S
    there, asked = np.array(calls.answered_there), np.array(calls.asked_there)
    busy = np.array(calls.busy)
    offloaded = calls.by_window(calls.answered_there, windows)
    mean_ms, random_s = float(latency[kept].mean()), min(each.mean_s for each in static if not each.ranked)
    return FleetReport(
        devices=scenario.devices,
        mean_ms=mean_ms,
        p50_ms=float(np.percentile(latency[kept], 50)),
        p95_ms=float(np.percentile(latency[kept], 95)),
        offloaded=float(there[kept].mean()),
        asked=float(asked[kept].mean()),
        load=float(busy[settled:].mean()),
        refused_per_s=sum(each.refused for each in companions) / scenario.duration_s,
        pings_per_s=sum(each.pings for each in companions) / scenario.duration_s,
        oscillation_offloaded=_deviation(offloaded[settled:]),
        oscillation_load=float(np.mean([_deviation(each) for each in busy[settled:].T])),
        static_ms=static[0].mean_s * 1e3,
        static_share=static[0].share,
        random_ms=random_s * 1e3,
        alone_ms=static[-1].mean_s * 1e3,
        vs_static=mean_ms / static[0].mean_s / 1e3,
        vs_random=mean_ms / random_s / 1e3,
        windows=FleetWindows(
            seconds=WINDOW_S,
            latency_ms=calls.by_window([each * 1e3 for each in calls.latency_s], windows).tolist(),
            offloaded=offloaded.tolist(),
            asked=calls.by_window(calls.asked_there, windows).tolist(),
            load=busy.mean(axis=1).tolist(),
            queued=[float(np.mean(each)) for each in calls.queued],
        ),
    )


def _deviation(values: Column) -> float:
    """The standard deviation as a share of the mean."""
    mean = float(values.mean())
    return float(values.std()) / mean if mean else 0.0
