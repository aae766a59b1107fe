"""Drop the plans that break a cap, take the best of the rest, and give the reason for each plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Cap, Objective, Reason
from collabd.planning.candidates import Candidates, Column
from collabd.planning.caps import Caps
from collabd.planning.nearest import EQUALLY_LIKELY, NearnessToCaps, nearness_to_caps
from collabd.planning.predict import Prediction

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decision:
    """The plan taken (its row), why, and which caps it is predicted to break (none: it fits)."""

    row: int
    reason: Reason
    unmet: tuple[Cap, ...]


@dataclass(frozen=True)
class SwitchGain:
    """The least gain for which calls switch to another plan: seconds of latency, and a share of any objective."""

    gain_s: float = 0.0
    gain_ratio: float = 0.0


_ANY_GAIN = SwitchGain()


def choose(
    plans: Candidates,
    prediction: Prediction,
    caps: Caps,
    *,
    allowed: Mask | None = None,
    previous: int | None = None,
    switch_gain: SwitchGain = _ANY_GAIN,
) -> Decision:
    """Take a plan. At least one allowed plan must be possible; the plan that stays on the device always is."""
    usable = prediction.possible if allowed is None else prediction.possible & allowed
    goal = goal_of(prediction, caps)
    fits = usable & _kept(plans, prediction, caps)
    best = _best(goal, prediction.latency_s, fits)
    if not fits[best]:
        if not usable.any():
            raise ValueError("no plan is both possible and allowed")
        return _nearest(plans, prediction, caps, usable=usable, previous=previous, switch_gain=switch_gain)
    if (
        previous is not None
        and previous != best
        and fits[previous]
        and not _is_worth_a_switch(goal, caps, previous=previous, best=best, least=switch_gain)
    ):
        return Decision(previous, Reason.KEPT, ())
    return Decision(best, Reason.CHOSEN, ())


def verdicts(
    plans: Candidates, prediction: Prediction, caps: Caps, *, decision: Decision, allowed: Mask | None = None
) -> list[Reason]:
    """Why each plan was taken or not, given the decision. Where a plan breaks several caps, the first is the reason."""
    broken = _broken(plans, prediction, caps)
    goal = goal_of(prediction, caps)
    busy = prediction.basis.companion_busy

    def reason(row: int) -> Reason:
        if row == decision.row:
            return decision.reason
        if not prediction.possible[row]:
            return Reason.BUSY if busy[row] else Reason.IMPOSSIBLE
        if allowed is not None and not allowed[row]:
            return Reason.NOT_ALLOWED
        for name, mask in broken.items():
            if mask[row]:
                return _REASON_OF[name]
        return Reason.NOT_WORTH_A_SWITCH if goal[row] < goal[decision.row] else Reason.WORSE

    return [reason(row) for row in range(len(plans))]


_REASON_OF = {
    Cap.FIDELITY: Reason.BELOW_FIDELITY,
    Cap.LATENCY: Reason.OVER_LATENCY,
    Cap.ENERGY: Reason.OVER_ENERGY,
    Cap.COST: Reason.OVER_COST,
}


def held_back(
    plans: Candidates, prediction: Prediction, caps: Caps, *, decision: Decision, allowed: Mask | None = None
) -> list[int]:
    """The plans that would be better than the one taken, if they were more faithful. The best comes first."""
    usable = prediction.possible if allowed is None else prediction.possible & allowed
    goal = goal_of(prediction, caps)
    better = usable & _kept(plans, prediction, replace(caps, fidelity=0.0)) & (plans.fidelity < caps.fidelity)
    rows = np.flatnonzero(better & (goal < goal[decision.row]))
    return [int(row) for row in rows[goal[rows].argsort(kind="stable")]]


def _broken(plans: Candidates, prediction: Prediction, caps: Caps) -> dict[Cap, Mask]:
    """For each cap, which plans break it."""
    broken = {Cap.FIDELITY: plans.fidelity < caps.fidelity}
    return broken | {name: figure > cap for name, figure, cap in against(prediction, caps)}


def _kept(plans: Candidates, prediction: Prediction, caps: Caps) -> Mask:
    """Which plans break no cap."""
    kept = plans.fidelity >= caps.fidelity
    for _, figure, cap in against(prediction, caps):
        kept &= figure <= cap
    return kept


def against(prediction: Prediction, caps: Caps) -> list[tuple[Cap, Column, float]]:
    """The upper limits that the call sets, each with the figure that it limits.

    Figures that no cap limits are not computed.
    """
    limits = []
    if caps.latency_s is not None:
        limits.append((Cap.LATENCY, prediction.deadline_s, caps.latency_s))
    if caps.energy_j is not None:
        limits.append((Cap.ENERGY, prediction.energy_most_j, caps.energy_j))
    if caps.cost is not None:
        limits.append((Cap.COST, prediction.cost_most, caps.cost))
    return limits


def _unmet(plans: Candidates, prediction: Prediction, caps: Caps, *, row: int) -> tuple[Cap, ...]:
    return tuple(name for name, mask in _broken(plans, prediction, caps).items() if mask[row])


def goal_of(prediction: Prediction, caps: Caps) -> Column:
    """What is minimised: the mean over all calls, also where a little network answers a part of them.

    For a stream it is the time of its slowest stage, since the other stages overlap with it.
    """
    match caps.objective:
        case Objective.ENERGY:
            return prediction.mean_energy_j
        case Objective.COST:
            return prediction.mean_cost
        case Objective.THROUGHPUT:
            left, sure = prediction.phases, prediction.basis.sure_phases
            stages = ("busy_s", "moving_s", "remote_s")
            means = [prediction.in_mean(getattr(left, stage), getattr(sure, stage)) for stage in stages]
            return np.maximum(np.maximum(means[0], means[1]), means[2])
        case _:
            left_s = prediction.latency_s if prediction.hedged_s is None else prediction.hedged_s
            return prediction.in_mean(left_s, prediction.basis.sure_s)


def risk_of(prediction: Prediction, caps: Caps) -> Column:
    """By how much the figure that is minimised deviates; 0 where the figure is an expectation already."""
    match caps.objective:
        case Objective.ENERGY:
            return prediction.energy_deviation_j
        case Objective.COST:
            return prediction.cost_deviation
        case Objective.LATENCY if prediction.hedged_s is not None:
            return np.zeros(len(prediction.hedged_s))
        case _:
            return prediction.deviation_s


def _best(goal: Column, latency: Column, among: Mask) -> int:
    """The row of the least goal; of equals (many plans cost nothing) of the fastest. Any row if `among` is empty."""
    best = int(np.where(among, goal, np.inf).argmin())
    if goal is latency:
        return best
    equals = among & (goal <= goal[best] * (1 + 1e-9))
    return int(np.where(equals, latency, np.inf).argmin())


def _is_worth_a_switch(goal: Column, caps: Caps, *, previous: int, best: int, least: SwitchGain) -> bool:
    gain = goal[previous] - goal[best]
    absolute = least.gain_s if caps.objective in {Objective.LATENCY, Objective.THROUGHPUT} else 0.0
    return bool(gain > absolute and gain > least.gain_ratio * goal[previous])


def _nearest(
    plans: Candidates,
    prediction: Prediction,
    caps: Caps,
    *,
    usable: Mask,
    previous: int | None,
    switch_gain: SwitchGain,
) -> Decision:
    """The plan that most likely keeps all caps; of equals the plan that is expected to exceed them least.

    The previous plan stays, unless the gain is worth a switch. Fidelity is never traded, since lossless plans exist.
    """
    near = nearness_to_caps(prediction, caps)
    faithful = usable & (plans.fidelity >= caps.fidelity)
    among = faithful if faithful.any() else usable
    likely = among & (near.chance >= np.where(among, near.chance, 0.0).max() - EQUALLY_LIKELY)
    row = _best(near.excess, prediction.latency_s, likely)
    if previous is not None and among[previous] and loss(near, previous, row) <= switch_gain.gain_ratio:
        row = previous
    return Decision(row, Reason.NEAREST, _unmet(plans, prediction, caps, row=row))


def loss(near: NearnessToCaps, row: int, other: int) -> float:
    """What `row` loses against `other`: chance to keep the caps, or excess over them, whichever is more."""
    return float(max(near.chance[other] - near.chance[row], near.excess[row] - near.excess[other]))
