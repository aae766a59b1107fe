"""Runs all policies on one workload and one trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from collabd.codec import USUAL_JPEG
from collabd.config import DeviceConfig, EnergySettings
from collabd.device.job.placement import NO_CODEC
from collabd.planning import Candidates
from collabd.planning.precisions import IN_FP32, Precisions
from collabd.sensing.power.board import board_power
from collabd.simulation.daemon import daemon_outcomes
from collabd.simulation.policies import Fixed, LastBandwidth, Oracle
from collabd.simulation.replay import ReplayPolicy, mean_latency_s, replay
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload
from collabd.simulation.world import Outcome, World

# The energy figures are those of this board.
_ENERGY = EnergySettings(board="pi4")
# Codec and precisions of the plans that need no planner. All of the network runs on one side.
_FIXED = {
    "local": (NO_CODEC, IN_FP32),
    "local_int8": (NO_CODEC, Precisions.parse("int8")),
    "remote_raw": ("u8", IN_FP32),
    "remote_jpeg": (USUAL_JPEG, IN_FP32),
}
POLICIES = ("local", "local_int8", "remote_raw", "remote_jpeg", "static", "neurosurgeon", "dads", "collabd", "oracle")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """The world of a comparison.

    `every_s`: seconds between requests. `rtt_s`: the round trip in seconds; None: the trace states it. `min_fidelity`:
    no policy that chooses among collabd's plans takes a plan with a lower fidelity.
    """

    trace: Trace
    every_s: float
    rtt_s: float | None
    min_fidelity: float
    config: DeviceConfig = field(default_factory=DeviceConfig)


def compare(workload: Workload, scenario: Scenario, policies: Iterable[str] = ()) -> dict[str, list[Outcome]]:
    """Run each policy with the same requests, at the same rate, on the same link. If none is given: all `possible`."""
    comparison = _Comparison(workload, scenario)
    return {name: comparison.run(name) for name in policies or possible(workload)}


def possible(workload: Workload) -> list[str]:
    """The policies that the plans of the package allow. Not every package has an int8 graph, or JPEG."""
    plans = {(plan.codec, plan.precisions) for plan in workload.all_plans.rows}
    return [name for name in POLICIES if name not in _FIXED or _FIXED[name] in plans]


class _Comparison:
    def __init__(self, workload: Workload, scenario: Scenario) -> None:
        self._workload = workload
        self._scenario = scenario
        self._world = World(workload, scenario.trace, rtt_s=scenario.rtt_s, power=board_power(_ENERGY.board))
        self._plans = tuple(
            plan for plan in workload.plans_for(scenario.min_fidelity).rows if plan.fidelity >= scenario.min_fidelity
        )
        self._runs: dict[str, Callable[[], list[Outcome]]] = {
            **{name: partial(self._fixed, *plan) for name, plan in _FIXED.items()},
            "static": self._static,
            "neurosurgeon": partial(self._last_bandwidth, workload.chain_plans),
            "dads": partial(self._last_bandwidth, workload.raw_plans),
            "collabd": self._collabd,
            "oracle": lambda: self._replay(Oracle(self._world, self._plans)),
        }

    def run(self, policy: str) -> list[Outcome]:
        return self._runs[policy]()

    def _replay(self, policy: ReplayPolicy) -> list[Outcome]:
        return replay(self._world, policy, self._scenario.every_s)

    def _fixed(self, codec: str, precisions: Precisions) -> list[Outcome]:
        plans = self._workload.all_plans.rows
        return self._replay(Fixed(next(plan for plan in plans if (plan.codec, plan.precisions) == (codec, precisions))))

    def _static(self) -> list[Outcome]:
        return min((self._replay(Fixed(plan)) for plan in self._plans), key=mean_latency_s)

    def _last_bandwidth(self, plans: Candidates) -> list[Outcome]:
        link = self._scenario.config.link
        return self._replay(
            LastBandwidth(
                plans, slowdown=self._workload.slowdown, probe_bytes=link.probe_kb * 1000, stale_s=link.stale_s
            )
        )

    def _collabd(self) -> list[Outcome]:
        config = self._scenario.config
        planning = msgspec.structs.replace(config.planning, min_fidelity=self._scenario.min_fidelity)
        config = msgspec.structs.replace(config, planning=planning)
        return daemon_outcomes(self._world, config, energy=_ENERGY, every_s=self._scenario.every_s)
