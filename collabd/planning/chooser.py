"""Choosing with a memory: calls of one kind stay with their plan until a switch is worth it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from collabd.planning.candidates import Candidates
from collabd.planning.choose import Decision, Mask, Stickiness, choose
from collabd.planning.limits import Caps
from collabd.planning.predict import Prediction

# So many kinds of calls are remembered.
_KINDS = 64


class Chooser:
    """`choose`, beside the plan that calls of the same kind had last."""

    def __init__(self, stickiness: Stickiness) -> None:
        self._stickiness = stickiness
        self._previous: OrderedDict[Hashable, tuple[str, str, int | None]] = OrderedDict()

    def choose(
        self, kind: Hashable | None, plans: Candidates, prediction: Prediction, caps: Caps, allowed: Mask | None = None
    ) -> Decision:
        """Take a plan for a call of this kind, and remember it; None: for a call that has no past and no future."""
        known = None if kind is None else self._previous.get(kind)
        previous = None if known is None else plans.index.get(known)
        decision = choose(plans, prediction, caps, allowed=allowed, previous=previous, stickiness=self._stickiness)
        if kind is not None:
            taken = plans.rows[decision.row]
            self._remember(kind, (taken.cut, taken.codec, taken.cloud))
        return decision

    def _remember(self, kind: Hashable, plan: tuple[str, str, int | None]) -> None:
        self._previous[kind] = plan
        self._previous.move_to_end(kind)
        if len(self._previous) > _KINDS:
            self._previous.popitem(last=False)
