"""Which plans come nearest to the caps that none of them keeps surely enough: how likely each keeps them all, and what
it is expected to exceed them by.

What varies is taken for normal above the median, as it is for the caps themselves, and for log-normal below it, since
nothing takes less than no time. A call that is slow is slow in all: of several caps the least likely one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import erf, pi, sqrt

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.limits import Caps
from collabd.planning.patience import HOPE
from collabd.planning.predict import Prediction

# Chances that differ by less are equal: then what it is expected to exceed the caps by decides.
EQUALLY_LIKELY = 0.01
_LEAST = 1e-12
_ERF = np.frompyfunc(erf, 1, 1)


@dataclass(frozen=True)
class NearnessToCaps:
    """Of each plan the chance that it keeps all caps, 0..1, and the excess to expect, as a share of the caps."""

    chance: Column
    excess: Column


def nearness_to_caps(prediction: Prediction, caps: Caps) -> NearnessToCaps:
    """Of every plan; the fidelity is no matter of chance, and left out."""
    found = []
    if caps.latency_s is not None:
        found.append(_in_time(prediction, caps.latency_s))
    if caps.energy_j is not None:
        found.append(_near(prediction.energy_j, prediction.energy_deviation_j, caps.energy_j))
    if caps.cost is not None:
        found.append(_near(prediction.cost, prediction.cost_deviation, caps.cost))
    nothing = NearnessToCaps(np.ones(len(prediction.latency_s)), np.zeros(len(prediction.latency_s)))
    return reduce(
        lambda one, other: NearnessToCaps(np.minimum(one.chance, other.chance), one.excess + other.excess),
        found,
        nothing,
    )


def _near(median: Column, deviation: Column, cap: float) -> NearnessToCaps:
    return NearnessToCaps(keeps(median, deviation, cap), expected_excess(median, deviation, cap))


def _in_time(prediction: Prediction, cap_s: float) -> NearnessToCaps:
    alone = _near(prediction.latency_s, prediction.deviation_s, cap_s)
    if not prediction.races:
        return alone
    basis, excess = prediction.basis, alone.excess
    if prediction.raced_s is not None:
        raced = prediction.raced_s != prediction.latency_s
        excess = np.where(raced, np.maximum(prediction.raced_s - cap_s, 0.0) / cap_s, excess)
    # Where the device may be in time it starts at once, and whoever is first keeps the cap for both.
    home = _near(basis.home_s, basis.home_deviation_s, cap_s)
    both = basis.home_deadline_s * HOPE <= cap_s
    return NearnessToCaps(
        chance=np.where(both, 1 - (1 - alone.chance) * (1 - home.chance), alone.chance),
        excess=np.where(both, np.minimum(excess, home.excess), excess),
    )


def keeps(median: Column, deviation: Column, cap: float) -> Column:
    """The chance that what has this median and deviation is no more than the cap."""
    deviation = np.maximum(deviation, _LEAST * (1 + median))
    above = (cap - median) / deviation
    below = np.log(np.maximum(cap, _LEAST) / np.maximum(median, _LEAST)) * median / deviation
    # The last is for what is known exactly, and is the cap.
    return np.where(cap > median, normal(above), np.where(cap < median, normal(below), 1.0))


def expected_excess(median: Column, deviation: Column, cap: float) -> Column:
    """By how much the cap is exceeded on average, as a share of it."""
    deviation = np.maximum(deviation, _LEAST * (1 + median))
    above = (median - cap) / deviation
    density = np.exp(-np.square(above) / 2) / sqrt(2 * pi)
    return np.maximum(deviation * (density + above * normal(above)), 0.0) / max(cap, _LEAST)


def normal(deviations: Column) -> Column:
    """The normal distribution. It must not fall anywhere, as an approximation may: a search relies on that."""
    return 0.5 + 0.5 * np.asarray(_ERF(deviations / sqrt(2)), np.float64)
