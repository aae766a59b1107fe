"""What the planner's reasons mean, as `--help` tells it."""

from __future__ import annotations

from collections.abc import Mapping

VERDICTS = {
    "chosen": "taken: the best on the objective of all that fit",
    "explored": "taken for once: looked too slow, may be well again",
    "kept": "taken again: the best one's gain is not worth a switch",
    "nearest": "taken: none fits the budget, this most likely will",
    "worse": "fits, but another does better on the objective",
    "not-worth-a-switch": "better than the one kept, but not by enough",
    "over-latency": "would take longer than the budget allows",
    "over-energy": "would take more energy than the budget allows",
    "over-cost": "would cost more than the budget allows",
    "below-fidelity": "would agree with the unsplit network too rarely",
    "busy": "the companion has asked to be left alone for a moment",
    "impossible": "the companion is down or does not have the model",
    "not-allowed": "pins, never-leave or the call's codec exclude it",
}
TAKEN = ("chosen", "explored", "kept", "nearest")
REASONS = {name: VERDICTS[name] for name in TAKEN} | {"fixed": "the call itself stated the cut or the placement"}


def glossary(title: str, meanings: Mapping[str, str]) -> str:
    """A block of help that click prints as it stands."""
    return "\n".join(["\b", title, *(f"  {name:<18}  {meaning}" for name, meaning in meanings.items())])
