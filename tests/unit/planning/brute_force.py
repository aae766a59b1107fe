"""Every placement with every choice of codecs, evaluated by the formulas as they are written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, product
from math import inf, log, pi, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Objective
from collabd.planning import CallFacts, Caps, CloudState, DeviceState
from collabd.planning.candidates import SOURCE
from collabd.planning.placements.chain import Chain
from collabd.planning.placements.trellis import NO_PINS, Pins

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Situation:
    """All that placements depend on, besides the caps."""

    chain: Chain
    device: DeviceState
    cloud: CloudState
    call: CallFacts
    quantile: float
    pins: Pins = NO_PINS


@dataclass(frozen=True)
class Outcomes:
    """One figure a placement and choice of codecs."""

    latency: Floats
    deviation: Floats
    deadline: Floats
    energy: Floats
    energy_deviation: Floats
    cost: Floats
    cost_deviation: Floats
    energy_most: Floats
    cost_most: Floats
    fidelity: Floats

    def least(self, caps: Caps) -> float:
        """The least objective within the caps; infinite if none fits."""
        fits = self.fidelity >= caps.fidelity - 1e-12
        for _, value, cap in self._against(caps):
            fits &= value <= cap
        goal: Floats = {
            Objective.LATENCY: self.latency,
            Objective.ENERGY: self.energy,
            Objective.COST: self.cost,
        }[caps.objective]
        return float(goal[fits].min(initial=inf))

    def chance(self, caps: Caps) -> Floats:
        """How likely each keeps all its caps: that of the least likely one, log-normal below the median."""
        chance = np.ones(len(self.latency))
        for median, deviation, cap in self._varying(caps):
            kept = [_kept(*one, max(cap, 1e-12)) for one in zip(median, np.maximum(deviation, 1e-15), strict=True)]
            chance = np.minimum(chance, kept)
        return chance

    def excess(self, caps: Caps) -> Floats:
        """The sum of the caps' expected excesses, as shares; infinite for what is not faithful enough."""
        excess = np.where(self.fidelity >= caps.fidelity - 1e-12, 0.0, inf)
        for median, deviation, cap in self._varying(caps):
            spread = np.maximum(deviation, 1e-15)
            z = (median - cap) / spread
            upper = np.array([_normal(value) for value in z])
            excess += spread * (np.exp(-(z**2) / 2) / sqrt(2 * pi) + z * upper) / max(cap, 1e-12)
        return excess

    def _varying(self, caps: Caps) -> Iterator[tuple[Floats, Floats, float]]:
        medians = (self.latency, self.energy, self.cost)
        deviations = (self.deviation, self.energy_deviation, self.cost_deviation)
        limits = (caps.latency_s, caps.energy_j, caps.cost)
        for median, deviation, limit in zip(medians, deviations, limits, strict=True):
            if limit is not None:
                yield median, deviation, limit

    def broken(self, caps: Caps) -> tuple[str, ...]:
        """The caps that the only outcome breaks."""
        return tuple(name for name, value, cap in self._against(caps) if value.item() > cap)

    def _against(self, caps: Caps) -> Iterator[tuple[str, Floats, float]]:
        values = (("latency", self.deadline), ("energy", self.energy_most), ("cost", self.cost_most))
        for (name, value), cap in zip(values, (caps.latency_s, caps.energy_j, caps.cost), strict=True):
            if cap is not None:
                yield name, value, cap


def outcomes(situation: Situation) -> Outcomes:
    """Of every placement that the pins allow and every choice of codecs."""
    found = [_placed(situation, letters) for letters in _placements(situation)]
    return Outcomes(*(np.concatenate(figures) for figures in zip(*found, strict=True)))


def _placements(situation: Situation) -> Iterator[str]:
    pins, segments = situation.pins, len(situation.chain.device_s)
    for letters in map("".join, product("DC", repeat=segments)):
        pinned = letters if pins.never_leave else letters[: pins.first] + letters[segments - pins.last :]
        if "C" not in letters or (situation.cloud.up and "C" not in pinned):
            yield letters


def _placed(situation: Situation, letters: str) -> tuple[Floats, ...]:
    device, cloud, call = situation.device, situation.cloud, situation.call
    runs = _runs(letters)
    choices = reduce(_both, (_choices(situation, *run) for run in runs), np.array([[0.0, 0, 0, 0, 0, 1]]))
    files, device_s, cloud_s, up, down, fidelity = choices.T
    moved, on_air = up + down, up * cloud.up_s_per_byte + down * cloud.down_s_per_byte
    head_s = sum(np.compress([letter == "D" for letter in letters], situation.chain.device_s))
    tail_s = sum(np.compress([letter == "C" for letter in letters], situation.chain.cloud_s))

    busy = call.prep_s * (1 - files) + call.answer_s + (head_s + device_s) * device.speed
    link = len(runs) * cloud.rtt_s + on_air
    remote = len(runs) * cloud.queue_s + (cloud_s + tail_s) * cloud.speed
    latency = busy + link + remote
    variance = (device.spread * busy) ** 2 + (cloud.link_spread * on_air) ** 2 + (cloud.speed_spread * remote) ** 2
    transmit = moved * 8 * device.tx_w_per_mbps / 1e6 + on_air * device.tx_base_w
    energy = device.busy_w * busy + device.idle_w * (link + remote) + transmit
    paid = moved * cloud.price_per_gb / 1e9 + len(runs) * cloud.price_per_request
    cost = paid + tail_s * cloud.speed * cloud.price_per_second
    margin = NormalDist().inv_cdf(situation.quantile)
    here, there, air = device.spread * busy, cloud.speed_spread, cloud.link_spread * on_air
    energy_varies = device.busy_w * here + device.idle_w * (there * remote + air) + device.tx_base_w * air
    cost_varies = np.full_like(cost, there * tail_s * cloud.speed * cloud.price_per_second)
    deadline, energy_most, cost_most = (
        median + margin * varies
        for median, varies in ((latency, np.sqrt(variance)), (energy, energy_varies), (cost, cost_varies))
    )
    figures = (latency, np.sqrt(variance), deadline, energy, energy_varies, cost, cost_varies)
    return *figures, energy_most, cost_most, fidelity


def _kept(median: float, deviation: float, cap: float) -> float:
    if cap == median:
        return 1.0
    return _normal((cap - median if cap > median else log(cap / median) * median) / deviation)


def _normal(deviations: float) -> float:
    return NormalDist().cdf(deviations)


def _runs(letters: str) -> list[tuple[int, int]]:
    """First and last segment of each run in the cloud."""
    runs = (list(run) for _, run in groupby(range(len(letters)), key=lambda k: letters[k]))
    return [(run[0], run[-1]) for run in runs if letters[run[0]] == "C"]


def _choices(situation: Situation, first: int, last: int) -> Floats:
    """For each pair of codecs: files sent, seconds of codecs here and there, bytes up and down, fidelity."""
    call = situation.call
    rows = []
    for up, down in product(situation.chain.up[first], situation.chain.down[last]):
        sends_file = up.codec == SOURCE
        if sends_file and call.source_bytes is None:
            continue
        rows.append(
            [
                sends_file,
                up.device_s + down.device_s,
                up.cloud_s + down.cloud_s + sends_file * call.cloud_prep_s[0],
                up.sent_bytes + sends_file * (call.source_bytes or 0),
                down.sent_bytes,
                up.fidelity * down.fidelity,
            ]
        )
    return np.array(rows, np.float64).reshape(-1, 6)


def _both(one: Floats, other: Floats) -> Floats:
    sums = one[:, None] + other
    sums[..., 5] = one[:, None, 5] * other[:, 5]
    return sums.reshape(-1, 6)
