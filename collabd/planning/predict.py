"""What each candidate plan would take now: one vectorised evaluation of the formulas of Neurosurgeon's family.

latency = overhead + wait for the lane + prep + head*s_dev + enc*s_dev + up + queue + dec*s_cloud + tail*s_cloud + down
energy  = P_busy*(overhead + prep + head + enc) + E_tx + P_idle*(everything waited for)
cost    = price per GB * bytes + price per companion-second * tail + price per request
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import Candidates, Column
from collabd.planning.coefficients import Ask, bills, times
from collabd.planning.state import NOWHERE, CloudState, DeviceState


@dataclass(frozen=True)
class Request:
    """What is known of one call before it runs: seconds to decode and resize its image here and on each companion,
    and the size of its file (None: the caller gave pixels, so nothing can be sent as it came)."""

    prep_s: float
    cloud_prep_s: tuple[float, ...]
    source_bytes: int | None


@dataclass(frozen=True)
class Prediction:
    """One figure a candidate: seconds, joules, and the currency of the prices."""

    latency_s: Column
    # The bytes on the link, both ways; one of the three stages that overlap in a stream.
    transfer_s: Column
    # By how much the device's work, the bytes and the companion's work deviate, float64 [3, rows].
    deviations_s: Column
    # False where the companion is down, or a file would have to be sent and there is none.
    possible: npt.NDArray[np.bool_]
    phases: Phases
    # Where the device starts the tail while it waits (`hedging`), else None: the latency on average and the price of
    # the work, by which plans are chosen; and the latency to expect, on average where both race and else the median.
    hedged_s: Column | None = None
    raced_s: Column | None = None
    # Whether the device finishes the call itself, early enough for its deadline, should the companion be late.
    races: bool = False

    @property
    def deviation_s(self) -> Column:
        """By how much the latency deviates, without a race."""
        here, link, there = np.square(self.deviations_s)
        deviation_s: Column = np.sqrt(here + link + there)
        return deviation_s

    @cached_property
    def deadline_s(self) -> Column:
        """The latency that the quantile of calls stays under; where both race, that of the surer one."""
        deadline_s: Column = self.phases.margin * self.deviation_s
        deadline_s += self.latency_s
        return np.minimum(deadline_s, self.phases.home_deadline_s) if self.races else deadline_s

    @property
    def expected_s(self) -> Column:
        """The latency that a call is told to expect."""
        return self.latency_s if self.raced_s is None else self.raced_s

    @property
    def energy_j(self) -> Column:
        """The device's energy."""
        return self.phases.bills[0]

    @property
    def cost(self) -> Column:
        """What the exchange is charged."""
        return self.phases.bills[1]

    @property
    def energy_most_j(self) -> Column:
        """As much energy as a call may well take: what caps are held against."""
        return self.energy_j + self.phases.margin * self.energy_deviation_j

    @property
    def cost_most(self) -> Column:
        """As much as a call may well cost: what caps are held against."""
        return self.cost + self.phases.margin * self.cost_deviation

    @property
    def energy_deviation_j(self) -> Column:
        """By how much the energy deviates."""
        return self.phases.bills[2]

    @property
    def cost_deviation(self) -> Column:
        """By how much the cost deviates."""
        return self.phases.bills[3]


def predict(
    plans: Candidates, device: DeviceState, clouds: Sequence[CloudState], request: Request, quantile: float
) -> Prediction:
    """Evaluate every plan; `quantile` (0.5..1) says how safe the figures for caps shall be.

    What is chosen by is linear in a plan's features, so that one product gives it for all plans.
    """
    phases = Phases(plans, device, clouds, request, NormalDist().inv_cdf(quantile))
    blocks = [times(device, cloud, ask) for cloud, ask in phases.asked]
    figures = np.concatenate(blocks, axis=1) @ plans.features(len(blocks))
    return Prediction(figures[0], figures[1], figures[2:], phases.possible, phases)


@dataclass(frozen=True)
class Phases:
    """The parts that the figures are made of, one of each a candidate; computed when somebody looks at them.

    `margin`: how many deviations beyond the median caps are held against.
    """

    _plans: Candidates
    _device: DeviceState
    _clouds: Sequence[CloudState]
    _request: Request
    margin: float

    @property
    def asked(self) -> list[tuple[CloudState, Ask]]:
        """Each companion and what it would be asked; without any, nobody for nothing."""
        request, file_bytes = self._request, float(self._request.source_bytes or 0)
        asks = (Ask(prep_s, request.prep_s, file_bytes) for prep_s in request.cloud_prep_s)
        return list(zip(self._clouds, asks, strict=True)) or [(NOWHERE, Ask(0.0, request.prep_s, 0.0))]

    @cached_property
    def bills(self) -> tuple[Column, Column, Column, Column]:
        """Energy and cost, then by how much both deviate."""
        blocks = [bills(self._device, cloud, ask) for cloud, ask in self.asked]
        energy, cost, energy_varies, cost_varies = np.concatenate(blocks, axis=1) @ self._plans.features(len(blocks))
        return energy, cost, energy_varies, cost_varies

    @property
    def home_s(self) -> Column:
        """All of a call, with its tail run here from the moment when the companion is asked."""
        device = self._device
        return self._plans.home_s * device.speed + (self._request.prep_s + device.queue_s + device.overhead_s)

    @property
    def home_deviation_s(self) -> Column:
        """By how much that deviates."""
        return self._device.spread * (self.home_s - self._device.overhead_s)

    @property
    def home_deadline_s(self) -> Column:
        """What the quantile of calls stays under in that case."""
        device = self._device
        slow = 1 + self.margin * device.spread
        deadline_s = self._plans.home_s * (device.speed * slow)
        deadline_s += (self._request.prep_s + device.queue_s) * slow + device.overhead_s
        return deadline_s

    @property
    def unasked_s(self) -> float:
        """For how long no call was sent to the companion that was left alone longest."""
        return max((cloud.unasked_s for cloud in self._clouds), default=0.0)

    def unasked_since(self, seconds: float) -> npt.NDArray[np.bool_]:
        """Whether no call was sent to the companion for so long."""
        return self._cloud("unasked_s") >= seconds

    @property
    def possible(self) -> npt.NDArray[np.bool_]:
        """Whether the companion is up and what is to be sent is there."""
        pixels = self._request.source_bytes is None
        if not pixels and all(cloud.up for cloud in self._clouds):
            return np.ones(len(self._plans), np.bool_)
        up = self._cloud("up") > 0
        return up & ~self._plans.source if pixels else up

    @property
    def companion_busy(self) -> npt.NDArray[np.bool_]:
        """Whether the companion asked to be left alone for now."""
        return self._cloud("busy") > 0

    @cached_property
    def lane_s(self) -> Column:
        """Waiting for the device's lane."""
        return np.where(self._plans.source, 0.0, self._device.queue_s)

    @cached_property
    def prep_s(self) -> Column:
        """Decoding and resizing the image on the device."""
        return np.where(self._plans.source, 0.0, self._request.prep_s)

    @cached_property
    def head_s(self) -> Column:
        """The head."""
        return self._plans.head_s * self._device.speed

    @cached_property
    def encode_s(self) -> Column:
        """Encoding the features."""
        return self._plans.encode_s * self._device.speed

    @cached_property
    def up_bytes(self) -> Column:
        """What is sent, the file included where it travels as it came."""
        return self._plans.up_bytes + np.where(self._plans.source, float(self._request.source_bytes or 0), 0.0)

    @cached_property
    def link_s(self) -> Column:
        """The round trip and the bytes, both ways."""
        down_s = self._plans.down_bytes * self._cloud("down_s_per_byte")
        return self._cloud("rtt_s") + self.up_bytes * self._cloud("up_s_per_byte") + down_s

    @cached_property
    def queue_s(self) -> Column:
        """Waiting at the companion."""
        return self._cloud("queue_s")

    @cached_property
    def decode_s(self) -> Column:
        """Decoding the features, or the file, at the companion."""
        there = np.array([*self._request.cloud_prep_s, 0.0])[self._plans.cloud]
        return (self._plans.decode_s + np.where(self._plans.source, there, 0.0)) * self._cloud("speed")

    @cached_property
    def tail_s(self) -> Column:
        """The tail at the companion."""
        return self._plans.tail_s * self._cloud("speed")

    @property
    def busy_s(self) -> Column:
        """The device's own work: one of the three stages that overlap in a stream."""
        return self.prep_s + self.head_s + self.encode_s

    @property
    def remote_s(self) -> Column:
        """The companion's work."""
        return self.decode_s + self.tail_s

    def _cloud(self, name: str) -> Column:
        return np.array([getattr(state, name) for state in (*self._clouds, NOWHERE)], np.float64)[self._plans.cloud]
