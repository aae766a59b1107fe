"""What the planner's reasons mean, as `--help` tells it."""

from __future__ import annotations

from collections.abc import Mapping

VERDICTS = {
    "chosen": "chosen: it fits, and is the best on the objective",
    "explored": "chosen as a trial, because it looked too slow",
    "kept": "chosen again: the best plan gains too little",
    "nearest": "chosen: none fits, this one most likely keeps the caps",
    "worse": "fits, but another plan is better on the objective",
    "not-worth-a-switch": "better than the plan that was kept, but not by enough",
    "over-latency": "would take longer than the budget allows",
    "over-energy": "would take more energy than the budget allows",
    "over-cost": "would cost more than the budget allows",
    "below-fidelity": "would give the unsplit network's answer too rarely",
    "busy": "the companion has asked to be left alone for a moment",
    "impossible": "the companion is down or lacks the model",
    "not-allowed": "pins, never-leave or the call's codec exclude it",
}
TAKEN = ("chosen", "explored", "kept", "nearest")
REASONS = {name: VERDICTS[name] for name in TAKEN} | {"fixed": "the call itself stated the cut or the placement"}


def glossary(title: str, meanings: Mapping[str, str]) -> str:
    """A block of help that click prints as it stands."""
    return "\n".join(["\b", title, *(f"  {name:<18}  {meaning}" for name, meaning in meanings.items())])
