"""Choosing with a memory: calls of one kind keep their plan until a switch is worth it, and rarely try another plan."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from collab_sdk.vocabulary import Objective, Reason
from collabd.planning.candidates import Candidates, PlanKey
from collabd.planning.caps import Caps
from collabd.planning.choose import Decision, Mask, SwitchGain, choose, goal_of, loss, risk_of
from collabd.planning.nearest import nearness_to_caps
from collabd.planning.predict import Prediction

# The number of kinds of calls that are remembered.
_KINDS = 64
# A try may lose at most this share of what the call optimises. Credit is saved up for at most `_TRIES` such tries.
_TRY_RATIO = 0.08
_TRIES = 2
# When the device does not run the tail as well, only a companion that no call asked for this many seconds is tried.
_UNASKED_S = 10.0


@dataclass
class _Past:
    """The last plan of the calls of one kind, and the share of a call that they may lose by trying another plan."""

    plan: PlanKey | None = None
    credit: float = 0.0


class PastPlans:
    """The last plan of each kind of calls. A new configuration does not erase it."""

    def __init__(self) -> None:
        self._by_kind: OrderedDict[Hashable, _Past] = OrderedDict()

    def of(self, kind: Hashable) -> _Past:
        """The past of this kind. When there are too many kinds, the least recently used one is forgotten."""
        past = self._by_kind.setdefault(kind, _Past())
        self._by_kind.move_to_end(kind)
        if len(self._by_kind) > _KINDS:
            self._by_kind.popitem(last=False)
        return past


@dataclass(frozen=True)
class Weighed:
    """A decision, and the one that may be tried in its place.

    `other`: the best plan of another companion; None: there is none to try. `lost`: what that plan may lose, as a share
    of what the call optimises.
    """

    decision: Decision
    other: Decision | None = None
    lost: float = 0.0


class Chooser:
    """Chooses as `choose` does, and takes into account the last plan of the same kind of calls.

    No call asks a companion that looks bad, so the daemon would never learn that this companion has recovered. The
    chooser therefore tries it now and then. Each call adds to a credit: a share of what the call optimises (latency,
    energy, cost or pace; when no plan fits, the chance to keep the caps). The chooser spends the credit on the best
    plan of another companion, when the prediction says that this plan loses no more than the credit. A try loses little
    when the device runs the tail at the same time (`Prediction.hedged_s`). Otherwise the chooser tries only a companion
    that no call has asked for a while. A try never breaks a cap that the call would keep.
    """

    def __init__(self, switch_gain: SwitchGain, explore_share: float, past: PastPlans) -> None:
        self._switch_gain = switch_gain
        self._explore_share = explore_share
        self._past = past

    def weigh(
        self, plans: Candidates, prediction: Prediction, caps: Caps, *, kind: Hashable, allowed: Mask | None = None
    ) -> Weighed:
        """Decide for calls of this kind, and remember the plan."""
        past = self._past.of(kind)
        previous = None if past.plan is None else plans.index.get(past.plan)
        decision = choose(plans, prediction, caps, allowed=allowed, previous=previous, switch_gain=self._switch_gain)
        taken = plans.rows[decision.row]
        past.plan = taken.key
        others = _others(plans, prediction, decision, caps=caps, allowed=allowed)
        # Audits of a stream ask companions often enough.
        if others is None or plans.inherits[decision.row]:
            return Weighed(decision)
        other = choose(plans, prediction, caps, allowed=others)
        return Weighed(decision, other, _lost(prediction, caps, decision=decision, other=other))

    def turn(self, weighed: Weighed, kind: Hashable) -> Decision:
        """The decision for one call: now and then the other one. Each call of this kind adds to the credit."""
        if weighed.other is None:
            return weighed.decision
        return self._explore(self._past.of(kind), weighed.decision, weighed.other, lost=weighed.lost)

    def _explore(self, past: _Past, decision: Decision, other: Decision, *, lost: float) -> Decision:
        """The `other` decision when the credit covers what it loses; otherwise `decision`."""
        past.credit = min(past.credit + self._explore_share, _TRIES * _TRY_RATIO)
        if lost > min(past.credit, _TRY_RATIO):
            return decision
        past.credit -= max(lost, 0.0)
        return Decision(other.row, Reason.EXPLORED, other.unmet)


def _others(
    plans: Candidates, prediction: Prediction, decision: Decision, *, caps: Caps, allowed: Mask | None
) -> Mask | None:
    """The plans of other companions that may be tried. None: there are none."""
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
    """What the other plan may lose, as a share of what the call optimises. It is 1 when that plan breaks a cap."""
    if decision.unmet:
        return loss(nearness_to_caps(prediction, caps), other.row, decision.row)
    if other.unmet:
        return 1.0
    goal = goal_of(prediction, caps)
    taken = float(goal[decision.row])
    lost = float(goal[other.row] + risk_of(prediction, caps)[other.row]) - taken
    return lost / taken if lost > 0 and taken > 0 else max(lost, 0.0)
