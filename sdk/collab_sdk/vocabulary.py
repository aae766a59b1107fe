"""The words that calls, answers and reports choose from, each defined once for the SDK, the daemons and `collabctl`.

Each word is a `StrEnum` and equals its text: ``Fallback.LOCAL == "local"``. Calls take either. An answer may hold a
word that only a newer daemon knows; it stays text (`known_or_text`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

__all__ = [
    "BreakerState",
    "Cap",
    "CompanionState",
    "EnergySource",
    "Fallback",
    "Objective",
    "OnInfeasible",
    "Reason",
    "ScoreKind",
    "known_or_text",
]


class Fallback(StrEnum):
    """What to do when the companion fails."""

    LOCAL = "local"  # finish on the device
    FAIL = "fail"  # raise CompanionUnavailable
    NEVER_LEAVE = "never-leave"  # send nothing to a companion in the first place


class OnInfeasible(StrEnum):
    """What to do when no plan fits the budget."""

    NEAREST = "nearest"  # run the plan that most likely keeps it
    FAIL = "fail"  # raise BudgetInfeasible before anything runs


class Objective(StrEnum):
    """What to do best within the caps."""

    LATENCY = "latency"
    ENERGY = "energy"
    COST = "cost"
    THROUGHPUT = "throughput"  # answers a second of a stream


class Cap(StrEnum):
    """A limit that a budget sets."""

    LATENCY = "latency"
    ENERGY = "energy"
    COST = "cost"
    FIDELITY = "fidelity"


class Reason(StrEnum):
    """Why a plan was taken, or not."""

    CHOSEN = "chosen"
    EXPLORED = "explored"  # the plan's estimate is old or unsure; it is tried now and then, at a bounded loss
    KEPT = "kept"  # the previous plan; the best one's gain is not worth a switch
    NEAREST = "nearest"  # no plan fits the budget; this one most likely keeps it, and among equals exceeds it least
    FIXED = "fixed"  # the call itself stated the cut or the placement
    WORSE = "worse"  # fits, but another does better on the objective
    NOT_WORTH_A_SWITCH = "not-worth-a-switch"
    OVER_LATENCY = "over-latency"
    OVER_ENERGY = "over-energy"
    OVER_COST = "over-cost"
    BELOW_FIDELITY = "below-fidelity"
    BUSY = "busy"  # the companion asked to be left alone for a while
    IMPOSSIBLE = "impossible"  # the companion is down, or there is no file to send as it came
    NOT_ALLOWED = "not-allowed"  # the call's own policy or cut excludes it


class EnergySource(StrEnum):
    """Where the energy of an answer comes from."""

    MODELLED = "modelled"  # the model of the board
    MEASURED = "measured"  # an instrument


class ScoreKind(StrEnum):
    """What a network's scores are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"  # exactly one label is right: the scores sum to 1
    INDEPENDENT = "independent"  # each label has its own probability (sigmoids)


class CompanionState(StrEnum):
    """The state of a companion, as the device knows it."""

    UP = "up"
    BUSY = "busy"  # up, but it has asked to be left alone for a moment
    DOWN = "down"
    UNKNOWN = "unknown"  # it has not answered yet


class BreakerState(StrEnum):
    """Whether calls go to a companion."""

    CLOSED = "closed"  # calls go to the companion
    OPEN = "open"  # it failed, and is left alone for a while
    HALF_OPEN = "half-open"  # the pause is over; one probe decides


Word = TypeVar("Word", bound=StrEnum)


def known_or_text(kind: type[Word], text: str) -> Word | str:
    """The word of this text. A word that only a newer daemon knows is returned as the text that it came as."""
    try:
        return kind(text)
    except ValueError:
        return text
