"""Choosing with a memory: calls of one kind stay with their plan until a switch is worth it, and try others rarely."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from collabd.planning.candidates import Candidates, Column
from collabd.planning.choose import Decision, Mask, Reason, Stickiness, choose
from collabd.planning.limits import Caps
from collabd.planning.predict import Prediction

# So many kinds of calls are remembered.
_KINDS = 64
# A try is to cost no more than this share of the call, and credit is saved for no more than a few tries.
_TRY_RATIO = 0.08
_TRIES = 2


@dataclass
class _Past:
    """What calls of one kind had last, and the seconds that they may lose by trying something else."""

    plan: tuple[str, str, int | None] | None = None
    credit_s: float = 0.0


class Chooser:
    """`choose`, beside the plan that calls of the same kind had last.

    A companion that looks bad is asked by nobody, so nobody would learn that it is well again. So a share of the
    latency of calls is saved up, and spent on the best plan of another companion when that is predicted to lose no
    more. Where the device runs the tail at the same time (`Prediction.hedged_s`) that is little; only there it is done.
    """

    def __init__(self, stickiness: Stickiness, explore_share: float) -> None:
        self._stickiness = stickiness
        self._explore_share = explore_share
        self._past: OrderedDict[Hashable, _Past] = OrderedDict()

    def choose(
        self, kind: Hashable | None, plans: Candidates, prediction: Prediction, caps: Caps, allowed: Mask | None = None
    ) -> Decision:
        """Take a plan for a call of this kind, and remember it; None: for a call that has no past and no future."""
        if kind is None:
            return choose(plans, prediction, caps, allowed=allowed)
        past = self._recall(kind)
        previous = None if past.plan is None else plans.index.get(past.plan)
        decision = choose(plans, prediction, caps, allowed=allowed, previous=previous, stickiness=self._stickiness)
        taken = plans.rows[decision.row]
        past.plan = (taken.cut, taken.codec, taken.cloud)
        if prediction.hedged_s is None or decision.reason is Reason.NEAREST:
            return decision
        others = ~plans.local & (plans.cloud != plans.cloud[decision.row]) & prediction.possible
        others = others if allowed is None else others & allowed
        if not others.any():
            return decision
        return self._explore(past, decision, plans, prediction, prediction.hedged_s, caps, others)

    def _explore(
        self,
        past: _Past,
        decision: Decision,
        plans: Candidates,
        prediction: Prediction,
        hedged_s: Column,
        caps: Caps,
        others: Mask,
    ) -> Decision:
        """The best of `others` where what is saved up pays for it, else the decision."""
        other = choose(plans, prediction, caps, allowed=others)
        expected_s = float(hedged_s[decision.row])
        loss_s = float(hedged_s[other.row]) - expected_s
        past.credit_s = min(past.credit_s + self._explore_share * expected_s, _TRIES * _TRY_RATIO * expected_s)
        if other.reason is Reason.NEAREST or loss_s > min(past.credit_s, _TRY_RATIO * expected_s):
            return decision
        past.credit_s -= loss_s
        return Decision(other.row, Reason.EXPLORED, ())

    def _recall(self, kind: Hashable) -> _Past:
        past = self._past.setdefault(kind, _Past())
        self._past.move_to_end(kind)
        if len(self._past) > _KINDS:
            self._past.popitem(last=False)
        return past
