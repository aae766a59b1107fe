"""What a fleet is: its devices with their boards, cameras and links, and the companions that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from collabd.catalog.package.package import Package
from collabd.config import BatchingSettings, DeviceConfig
from collabd.planning import Candidate
from collabd.profiling.profile import Profile
from collabd.simulation.fleet.companion import CALL_S, batch_s
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload

# The boards of a fleet: how many times as long as on the board that is asked for a run takes, and their share. With a
# Pi 4 as that board the others are about a Pi 5 and a Pi 3.
BOARDS = ((0.4, 0.3), (1.0, 0.5), (2.0, 0.2))
# Half of the cameras are periodic, and half send when something moves: at random moments (Poisson).
_PERIODIC = 0.5
# Each device is paired with so many of the companions, drawn at random.
_PAIRED = 2
# Requests have the luck of one of so many draws.
_DRAWS = 1024


@dataclass(frozen=True, kw_only=True)
class FleetDevice:
    """One device. `companions`: the indices of those that it is paired with; `offset_s`: where its trace begins."""

    workload: Workload
    trace: Trace
    offset_s: float
    companions: tuple[int, ...]
    periodic: bool
    first_s: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class FleetScenario:
    """`every_s`: the mean time between a device's requests. `saturated_by`: so many devices fill the companions."""

    package: Package
    profile: Profile
    traces: Sequence[Trace]
    devices: int
    companions: int
    saturated_by: int
    every_s: float
    duration_s: float
    slowdown: float
    rtt_s: float | None
    seed: int
    config: DeviceConfig = field(default_factory=DeviceConfig)
    batching: BatchingSettings = field(default_factory=BatchingSettings)

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """One for each kind of board."""
        return tuple(
            Workload(self.package, self.profile, slowdown=self.slowdown * factor, requests=_DRAWS, seed=self.seed)
            for factor, _ in BOARDS
        )

    @cached_property
    def slowness(self) -> float:
        """How many times longer than in the profile a companion works, so that `saturated_by` devices fill them all.

        They send the picture, and the companions run the whole network in full batches.
        """
        plan = self.image_plan
        run_s = batch_s(plan.tail_s * self.batching.max, self.batching.max) / self.batching.max
        alone_s = max(run_s + plan.decode_s, CALL_S)
        return self.companions * self.every_s / (self.saturated_by * alone_s)

    @cached_property
    def image_plan(self) -> Candidate:
        """The plan that sends the picture in the fewest bytes, of those that are faithful enough."""
        workload, least = self.workloads[0], self.config.planning.min_fidelity
        first = workload.package.manifest.cuts[0].name
        rows = [row for row in workload.plans.rows if row.cut == first and row.fidelity >= least]
        return min(rows, key=lambda row: (row.up_bytes, row.tail_s))

    def made(self) -> list[FleetDevice]:
        """The devices, the same for each run of the scenario."""
        random = np.random.default_rng(self.seed)
        boards = random.choice(len(BOARDS), self.devices, p=[share for _, share in BOARDS])
        return [self._device(int(board), random, number) for number, board in enumerate(boards)]

    def _device(self, board: int, random: np.random.Generator, number: int) -> FleetDevice:
        trace = self.traces[int(random.integers(len(self.traces)))]
        paired = min(_PAIRED, self.companions)
        return FleetDevice(
            workload=self.workloads[board],
            trace=trace,
            offset_s=float(random.uniform(0, trace.duration_s)),
            companions=tuple(int(each) for each in random.permutation(self.companions)[:paired]),
            periodic=bool(random.random() < _PERIODIC),
            first_s=float(random.uniform(0, self.every_s)),
            seed=self.seed * 1_000_003 + number,
        )
