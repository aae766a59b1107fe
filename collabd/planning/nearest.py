"""How near plans come to the caps, where none keeps them surely enough: the chance of each to keep all caps, and by how
much each is expected to exceed them.

Figures are taken to vary normally above their median, as they are where caps are checked, and log-normally below it,
since nothing takes less than no time. A call that is slow exceeds all its caps together, so the chance to keep several
caps is that of the least likely one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import erf, pi, sqrt

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.caps import Caps
from collabd.planning.patience import HOPE
from collabd.planning.predict import Prediction

# Chances that differ by less count as equal; then the expected excess decides.
EQUALLY_LIKELY = 0.01
_LEAST = 1e-12
_ERF = np.frompyfunc(erf, 1, 1)


@dataclass(frozen=True)
class NearnessToCaps:
    """For each plan: its chance to keep all caps, 0..1, and its expected excess, as a share of the caps."""

    chance: Column
    excess: Column


def nearness_to_caps(prediction: Prediction, caps: Caps) -> NearnessToCaps:
    """Of every plan. Fidelity is left out, since it is no matter of chance."""
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
    # Where the device may be in time, it starts at once. The cap is kept if either is in time.
    home = _near(basis.home_s, basis.home_deviation_s, cap_s)
    both = basis.home_deadline_s * HOPE <= cap_s
    return NearnessToCaps(
        chance=np.where(both, 1 - (1 - alone.chance) * (1 - home.chance), alone.chance),
        excess=np.where(both, np.minimum(excess, home.excess), excess),
    )


def keeps(median: Column, deviation: Column, cap: float) -> Column:
    """The chance that a figure with this median and deviation is no more than the cap."""
    deviation = np.maximum(deviation, _LEAST * (1 + median))
    above = (cap - median) / deviation
    below = np.log(np.maximum(cap, _LEAST) / np.maximum(median, _LEAST)) * median / deviation
    # A median that equals the cap keeps it: without any deviation that is certain.
    return np.where(cap > median, normal(above), np.where(cap < median, normal(below), 1.0))


def expected_excess(median: Column, deviation: Column, cap: float) -> Column:
    """By which share of the cap it is exceeded on average."""
    deviation = np.maximum(deviation, _LEAST * (1 + median))
    above = (median - cap) / deviation
    density = np.exp(-np.square(above) / 2) / sqrt(2 * pi)
    return np.maximum(deviation * (density + above * normal(above)), 0.0) / max(cap, _LEAST)


def normal(deviations: Column) -> Column:
    """The normal distribution function. Searches rely on it to fall nowhere, so it is no approximation."""
    return 0.5 + 0.5 * np.asarray(_ERF(deviations / sqrt(2)), np.float64)
