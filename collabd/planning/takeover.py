"""Whether another companion finishes a call whose companion has failed, or the device does."""

from __future__ import annotations

from dataclasses import dataclass

from collab_sdk.vocabulary import Objective
from collabd.planning.caps import Caps
from collabd.planning.patience import HOPE


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What the rest of a call takes from the tensors at the cut: seconds, the device's joules, and the price."""

    seconds: float
    energy_j: float
    cost: float = 0.0


def keeps(there: Finish, left: Caps) -> bool:
    """Whether a companion's finish keeps what is `left` of the caps on energy and cost."""
    return (left.energy_j is None or there.energy_j <= left.energy_j) and (left.cost is None or there.cost <= left.cost)


def takes_over(there: Finish, here: Finish, left: Caps, *, slow_s: float) -> bool:
    """Whether another companion is asked, where the device could finish the call itself.

    It has to be better at what the call optimises, and to keep what is `left` of the caps. `slow_s`: what a slow run
    here takes. If the device can still keep the deadline, the answer must be expected before the device has to start:
    with 80 ms left and 30 ms here, within 50 ms. Later it would only race a tail that the device runs anyway.
    """
    if not keeps(there, left) or not _is_better(there, here, left.objective):
        return False
    if left.latency_s is None or left.latency_s < HOPE * slow_s:
        return True
    return there.seconds <= left.latency_s - slow_s


def _is_better(there: Finish, here: Finish, objective: Objective) -> bool:
    match objective:
        case Objective.ENERGY:
            return there.energy_j < here.energy_j
        case Objective.COST:
            return there.cost <= here.cost and there.seconds < here.seconds
        case _:
            return there.seconds < here.seconds
