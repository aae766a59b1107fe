"""The meaning of the planner's reasons, for `--help`."""

from __future__ import annotations

from collections.abc import Mapping

from collab_sdk.vocabulary import TAKEN, Reason

VERDICTS = {
    Reason.CHOSEN: "chosen: it fits, and is the best on the objective",
    Reason.EXPLORED: "chosen as a trial, because it looked too slow",
    Reason.KEPT: "chosen again: the best plan gains too little",
    Reason.NEAREST: "chosen: none fits, this one most likely keeps the caps",
    Reason.WORSE: "fits, but another plan is better on the objective",
    Reason.NOT_WORTH_A_SWITCH: "better than the plan that was kept, but not by enough",
    Reason.OVER_LATENCY: "would take longer than the budget allows",
    Reason.OVER_ENERGY: "would take more energy than the budget allows",
    Reason.OVER_COST: "would cost more than the budget allows",
    Reason.BELOW_FIDELITY: "would give the unsplit network's answer too rarely",
    Reason.BUSY: "the companion has asked to be left alone for a moment",
    Reason.IMPOSSIBLE: "the companion is down or lacks the model",
    Reason.NOT_ALLOWED: "pins, never-leave or the call's codec exclude it",
}
REASONS = {name: VERDICTS[name] for name in TAKEN} | {Reason.FIXED: "the call itself stated the cut or the placement"}


def glossary(title: str, meanings: Mapping[Reason, str]) -> str:
    """A block of help that click prints as it stands."""
    return "\n".join(["\b", title, *(f"  {name:<18}  {meaning}" for name, meaning in meanings.items())])
