"""Choosing with a memory: calls of one kind stay with their plan until a switch is worth it, and try others rarely."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from collab_sdk.vocabulary import Objective, Reason
from collabd.planning.candidates import Candidates
from collabd.planning.caps import Caps
from collabd.planning.choose import Decision, Mask, SwitchGain, choose, goal_of, loss, risk_of
from collabd.planning.nearest import nearness_to_caps
from collabd.planning.predict import Prediction

# So many kinds of calls are remembered.
_KINDS = 64
# A try is to lose no more than this share of what the call is about, and credit is saved for no more than a few tries.
_TRY_RATIO = 0.08
_TRIES = 2
# Where the loss is real, a try is for a companion that nobody asked for so long.
_UNASKED_S = 10.0


@dataclass
class _Past:
    """What calls of one kind had last, and the share of a call that they may lose by trying something else."""

    plan: tuple[str, str, int | None] | None = None
    credit: float = 0.0


class PastPlans:
    """What the calls of each kind had last. It outlives a new configuration."""

    def __init__(self) -> None:
        self._by_kind: OrderedDict[Hashable, _Past] = OrderedDict()

    def of(self, kind: Hashable) -> _Past:
        """The past of this kind; of too many kinds the one that was not asked for longest is forgotten."""
        past = self._by_kind.setdefault(kind, _Past())
        self._by_kind.move_to_end(kind)
        if len(self._by_kind) > _KINDS:
            self._by_kind.popitem(last=False)
        return past


class Chooser:
    """`choose`, beside the plan that calls of the same kind had last.

    A companion that looks bad is asked by nobody, so nobody would learn that it is well again. So a share of what calls
    are about (their latency, energy, cost or pace, or where nothing fits the chance to keep the caps) is saved up, and
    spent on the best plan of another companion when that is predicted to lose no more. Where the device runs the tail
    at the same time (`Prediction.hedged_s`) that is little; elsewhere only a companion is tried that has not been asked
    for a while. A try never breaks a cap that the call would keep.
    """

    def __init__(self, switch_gain: SwitchGain, explore_share: float, past: PastPlans) -> None:
        self._switch_gain = switch_gain
        self._explore_share = explore_share
        self._past = past

    def choose(
        self,
        plans: Candidates,
        prediction: Prediction,
        caps: Caps,
        *,
        kind: Hashable | None,
        allowed: Mask | None = None,
    ) -> Decision:
        """Take a plan for a call of this kind, and remember it; None: for a call that has no past and no future."""
        if kind is None:
            return choose(plans, prediction, caps, allowed=allowed)
        past = self._past.of(kind)
        previous = None if past.plan is None else plans.index.get(past.plan)
        decision = choose(plans, prediction, caps, allowed=allowed, previous=previous, switch_gain=self._switch_gain)
        taken = plans.rows[decision.row]
        past.plan = (taken.cut, taken.codec, taken.cloud)
        others = _others(plans, prediction, decision, caps=caps, allowed=allowed)
        if others is None:
            return decision
        other = choose(plans, prediction, caps, allowed=others)
        return self._explore(past, decision, other, lost=_lost(prediction, caps, decision=decision, other=other))

    def _explore(self, past: _Past, decision: Decision, other: Decision, *, lost: float) -> Decision:
        """The other decision where what is saved up pays for what it loses, else the decision."""
        past.credit = min(past.credit + self._explore_share, _TRIES * _TRY_RATIO)
        if lost > min(past.credit, _TRY_RATIO):
            return decision
        past.credit -= max(lost, 0.0)
        return Decision(other.row, Reason.EXPLORED, other.unmet)


def _others(
    plans: Candidates, prediction: Prediction, decision: Decision, *, caps: Caps, allowed: Mask | None
) -> Mask | None:
    """The plans of other companions that may be tried, if there are any."""
    raced = prediction.hedged_s is not None and caps.objective == Objective.LATENCY and not decision.unmet
    if not raced and prediction.basis.unasked_s < _UNASKED_S:
        return None
    others: Mask = ~plans.local & (plans.cloud != plans.cloud[decision.row]) & prediction.possible
    if not raced:
        others &= prediction.basis.unasked_since(_UNASKED_S)
    if allowed is not None:
        others &= allowed
    return others if others.any() else None


def _lost(prediction: Prediction, caps: Caps, *, decision: Decision, other: Decision) -> float:
    """What may be lost by the other plan, as a share of what the call is about; all of it where it breaks a cap."""
    if decision.unmet:
        return loss(nearness_to_caps(prediction, caps), other.row, decision.row)
    if other.unmet:
        return 1.0
    goal = goal_of(prediction, caps)
    taken = float(goal[decision.row])
    lost = float(goal[other.row] + risk_of(prediction, caps)[other.row]) - taken
    return lost / taken if lost > 0 and taken > 0 else max(lost, 0.0)
