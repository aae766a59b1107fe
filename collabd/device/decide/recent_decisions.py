"""What the last calls of each model were decided by, and what that leaves to be known of lossy plans."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import TypeAlias
from weakref import WeakKeyDictionary

from collabd.device.decide.evaluation import Evaluation
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import Row
from collabd.device.models.model import DeviceModel
from collabd.planning.choose import Decision, held_back

# The number of kinds of calls of a model that are remembered. An application has a few.
_KINDS = 8

_Decided: TypeAlias = OrderedDict[Hashable, tuple[Evaluation, Decision]]


class RecentDecisions:
    """The last decision for each kind of calls. It keeps no model in memory."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[DeviceModel, _Decided] = WeakKeyDictionary()

    def note(self, model: DeviceModel, kind: Hashable, evaluation: Evaluation, decision: Decision) -> None:  # noqa: PLR0917
        """Calls of this kind go by this decision from now on."""
        decided = self._of.setdefault(model, OrderedDict())
        decided[kind] = evaluation, decision
        decided.move_to_end(kind)
        if len(decided) > _KINDS:
            decided.popitem(last=False)

    def questions(self, model: DeviceModel) -> Iterator[RowQuestion]:
        """About the plans that calls of this model go by, and those that their fidelity alone holds back.

        The latest kind of calls comes first, and of its plans first the one taken, then the best.
        """
        for evaluation, decision in reversed(self._of.get(model, {}).values()):
            plans, caps = evaluation.plans, evaluation.caps
            rows = held_back(plans, evaluation.prediction, caps, decision=decision, allowed=evaluation.allowed)
            for row in (decision.row, *rows):
                plan = plans.rows[row]
                yield RowQuestion(Row.of_plan(plan), caps.fidelity)
                if plan.tail.is_reduced:
                    yield RowQuestion(Row.of_reduced(plan.tail, plan.tail_by), caps.fidelity)

    def least_fidelities(self, model: DeviceModel) -> set[float]:
        """What the last calls of this model asked for."""
        return {evaluation.caps.fidelity for evaluation, _ in self._of.get(model, {}).values()}
