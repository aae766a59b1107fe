"""What each candidate plan would take now: one vectorised evaluation of the formulas in `phases`.

They are of Neurosurgeon's family (Kang et al., ASPLOS 2017): what a plan takes is the sum of what its phases take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import HEAD_S, LITTLE_S, PREPARES_IMAGE, PREPARES_LITTLE, Candidates, Column
from collabd.planning.phases import DEVICE_VARIES, LATENCY, PhaseTable, PlanPhases, phase_table
from collabd.planning.state import NOWHERE, CallFacts, CloudState, DeviceState


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One figure a candidate: seconds, joules, and the currency of the prices.

    Where a plan asks a little network, they are those of the calls that this leaves, and so of its worse branch. What
    it takes in the mean over all calls is said where it is named so.
    """

    latency_s: Column
    # Moving the bytes, up and down: one of the three stages that overlap in a stream.
    transfer_s: Column
    # The deviations of the device's work, of moving the bytes, and of the companion's work, float64 [3, rows].
    deviations_s: Column
    # False where the companion is down, or a file would have to be sent and there is none.
    possible: npt.NDArray[np.bool_]
    basis: PredictionBasis
    # None unless the device starts the tail while it waits (`hedging`): the mean latency with the price of the extra
    # work, by which plans are chosen; and the latency to expect, which is the mean where both race, else the median.
    hedged_s: Column | None = None
    raced_s: Column | None = None
    # Whether the device finishes the call itself, in time for its deadline, if the companion is late.
    races: bool = False

    @property
    def deviation_s(self) -> Column:
        """The deviation of the latency, without a race."""
        here, link, there = np.square(self.deviations_s)
        deviation_s: Column = np.sqrt(here + link + there)
        return deviation_s

    @cached_property
    def deadline_s(self) -> Column:
        """The quantile of latency; where both race, the lesser of the two."""
        deadline_s: Column = self.basis.margin * self.deviation_s
        deadline_s += self.latency_s
        return np.minimum(deadline_s, self.basis.home_deadline_s) if self.races else deadline_s

    @property
    def expected_s(self) -> Column:
        """The latency that a call is told to expect, in the mean over those that a little network answers or leaves."""
        return self.in_mean(self.left_s, self.basis.sure_s)

    @property
    def left_s(self) -> Column:
        """The latency to expect of a call that no little network answers."""
        return self.latency_s if self.raced_s is None else self.raced_s

    def in_mean(self, left: Column, sure: Column) -> Column:
        """A figure of all plans, in the mean over all calls.

        `left`: of calls that the little network leaves; `sure`: of those that it answers, one a plan that asks it.
        """
        asking = self.basis.plans.with_little
        if asking.start == asking.stop:
            return left
        mean = left.copy()
        mean[asking] += self.basis.plans.share[asking] * (sure - left[asking])
        return mean

    @property
    def phases(self) -> PlanPhases:
        """What the latency is made of."""
        return self.basis.phases

    @property
    def energy_j(self) -> Column:
        """The device's energy."""
        return self.basis.bills.energy_j

    @property
    def cost(self) -> Column:
        """What the exchange is charged."""
        return self.basis.bills.cost

    @property
    def mean_energy_j(self) -> Column:
        """The device's energy in the mean over all calls."""
        return self.in_mean(self.energy_j, self.basis.sure_bills.energy_j)

    @property
    def mean_cost(self) -> Column:
        """What is charged in the mean over all calls."""
        return self.in_mean(self.cost, self.basis.sure_bills.cost)

    @property
    def energy_deviation_j(self) -> Column:
        """The deviation of the energy."""
        return self.basis.bills.energy_deviation_j

    @property
    def cost_deviation(self) -> Column:
        """The deviation of the cost."""
        return self.basis.bills.cost_deviation

    @property
    def energy_most_j(self) -> Column:
        """The quantile of energy, which caps limit."""
        return self.energy_j + self.basis.margin * self.energy_deviation_j

    @property
    def cost_most(self) -> Column:
        """The quantile of cost, which caps limit."""
        return self.cost + self.basis.margin * self.cost_deviation


def predict(
    plans: Candidates, *, device: DeviceState, clouds: Sequence[CloudState], call: CallFacts, quantile: float
) -> Prediction:
    """Evaluate every plan. `quantile` (0.5..1) is that of the figures which caps limit."""
    if not clouds:
        clouds, call = (NOWHERE,), replace(call, cloud_prep_s=(0.0,))
    basis = PredictionBasis(
        plans=plans,
        device=device,
        clouds=clouds,
        call=call,
        margin=NormalDist().inv_cdf(quantile),
        table=phase_table(device, clouds, call),
    )
    figures = np.dot(basis.table.times, plans.features(len(clouds)))
    return Prediction(
        latency_s=figures[0],
        transfer_s=figures[1],
        deviations_s=figures[2:],
        possible=basis.possible,
        basis=basis,
    )


@dataclass(frozen=True, kw_only=True)
class PredictionBasis:
    """What a prediction is made from, and the figures that are computed only when they are needed.

    `margin`: how many deviations the quantile, which caps limit, lies above the median.
    """

    plans: Candidates
    device: DeviceState
    clouds: Sequence[CloudState]
    call: CallFacts
    margin: float
    table: PhaseTable

    @cached_property
    def phases(self) -> PlanPhases:
        """Seconds of each phase."""
        return PlanPhases(*self.table.phases @ self._features)

    @cached_property
    def bills(self) -> Bills:
        """Energy and cost."""
        return Bills(*self._bill_factors @ self._features)

    @cached_property
    def _bill_factors(self) -> Column:
        return self.table.bills(self.device, self.clouds)

    @cached_property
    def sure_s(self) -> Column:
        """The latency of calls that a little network answers, one figure a plan that asks it."""
        sure_s: Column = self.table.sure @ self._sure_features
        return sure_s

    @cached_property
    def sure_bills(self) -> Bills:
        """Energy and cost of these calls."""
        return Bills(*self._bill_factors @ self._sure_features)

    @property
    def sure_phases(self) -> PlanPhases:
        """Seconds of each phase of these calls."""
        return PlanPhases(*self.table.phases @ self._sure_features)

    @property
    def slow(self) -> float:
        """The quantile of how many times longer than profiled a run takes on the device."""
        return self.device.speed * (1 + self.margin * self.device.spread)

    @property
    def home_s(self) -> Column:
        """The latency of a call whose tail runs here from the moment when the companion is asked."""
        return self._at_home(self.table.times[LATENCY])

    @property
    def home_deviation_s(self) -> Column:
        """The deviation of `home_s`."""
        return self._at_home(self.table.times[DEVICE_VARIES])

    @property
    def home_deadline_s(self) -> Column:
        """The quantile of `home_s`."""
        return self._at_home(self.table.times[LATENCY] + self.margin * self.table.times[DEVICE_VARIES])

    def _at_home(self, factors: Column) -> Column:
        """A figure of the local plan whose head is all of a plan's work here, its tail included."""
        figure: Column = self.plans.home_s * factors[HEAD_S] + factors[PREPARES_IMAGE]
        return figure + self.plans.serial * self._of_little(factors)

    @property
    def little_s(self) -> Column:
        """How long the lane is taken by a little network, before it can run all else."""
        return self._of_little(self.table.times[LATENCY])

    def _of_little(self, factors: Column) -> Column:
        plans = self.plans
        figure: Column = plans.little_s * factors[LITTLE_S] + plans.prepared_again * factors[PREPARES_LITTLE]
        return figure

    @property
    def unasked_s(self) -> float:
        """Seconds for which no call was sent to the companion that was left alone longest."""
        return max(cloud.unasked_s for cloud in self.clouds)

    def unasked_since(self, seconds: float) -> npt.NDArray[np.bool_]:
        """Whether no call was sent to the plan's companion for so many seconds."""
        return self._of_companion("unasked_s") >= seconds

    @property
    def possible(self) -> npt.NDArray[np.bool_]:
        """Whether the companion is up and what is to be sent is there."""
        pixels = self.call.source_bytes is None
        if not pixels and all(cloud.up for cloud in self.clouds):
            return np.ones(len(self.plans), np.bool_)
        up = self._of_companion("up") > 0
        return up & ~self.plans.source if pixels else up

    @property
    def companion_busy(self) -> npt.NDArray[np.bool_]:
        """Whether the companion asked to be left alone for now."""
        return self._of_companion("busy") > 0

    @property
    def _features(self) -> Column:
        return self.plans.features(len(self.clouds))

    @property
    def _sure_features(self) -> Column:
        return self.plans.sure_features(len(self.clouds))

    def _of_companion(self, name: str) -> Column:
        states = (*self.clouds, NOWHERE)
        return np.array([getattr(state, name) for state in states], np.float64)[self.plans.cloud]


class Bills(NamedTuple):
    """What each plan takes of the battery and of the purse, and the deviations of both."""

    energy_j: Column
    energy_deviation_j: Column
    cost: Column
    cost_deviation: Column
