"""The budget of a call: caps on latency, energy and cost, the least fidelity, and the objective within them."""

from __future__ import annotations

import contextlib
import difflib
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from numbers import Real
from typing import Any

from collab_sdk.errors import InvalidBudget
from collab_sdk.vocabulary import Objective

__all__ = ["Budget"]

FORMS = (
    "a budget is one or more of these, separated by commas: 80ms, 0.5s, 500us (most latency); 150mJ, 2J, 900uJ (most "
    "energy); 99% (least fidelity); cost 0.002 (most cost); min-latency, min-energy, min-cost, max-throughput "
    "(objective)"
)
# Characters. No budget needs more: the smallest fidelity above 0 takes 330.
MAX_TEXT = 1000

_DIGITS = r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
_NUMBER = re.compile(rf"{_DIGITS}\s*(.*)", re.DOTALL)
_COST = re.compile(rf"cost(?:\s*=\s*|\s+){_DIGITS}")
# Each unit: the field that it sets, and the power of ten that takes the number to the field's own unit.
_UNITS = {
    "us": ("latency_ms", -3),
    "ms": ("latency_ms", 0),
    "s": ("latency_ms", 3),
    "uJ": ("energy_mj", -3),
    "mJ": ("energy_mj", 0),
    "J": ("energy_mj", 3),
    "%": ("fidelity", -2),
}
_WORDS = {
    Objective.LATENCY: "min-latency",
    Objective.ENERGY: "min-energy",
    Objective.COST: "min-cost",
    Objective.THROUGHPUT: "max-throughput",
}
_OBJECTIVES = {word: objective for objective, word in _WORDS.items()}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Caps and objective of one call; None: no cap, and the daemon's own objective.

    ``latency_ms`` milliseconds, above 0; ``energy_mj`` millijoules of the device; ``cost`` in the unit of the daemon's
    prices; ``fidelity`` 0..1, how often the plan's top-1 must equal the unsplit fp32 network's, for images of which
    that network is sure (it gives its top-1 a probability of 0.5 or more). The ``objective`` is what to do best within
    the caps, as a word or its text; "throughput" is answers a second of a stream. `InvalidBudget`: a cap that is
    negative, not finite or no number, or an objective that is none.
    """

    latency_ms: float | None = None
    energy_mj: float | None = None
    cost: float | None = None
    fidelity: float | None = None
    objective: Objective | None = None

    def __post_init__(self) -> None:
        for name in ("latency_ms", "energy_mj", "cost", "fidelity"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _cap(name, value))
        if self.latency_ms == 0:
            raise InvalidBudget("latency_ms: the cap must be above 0")
        if self.fidelity is not None and self.fidelity > 1:
            raise InvalidBudget(f"fidelity: {self.fidelity!r} is above 1; 1 means full agreement (100%)")
        if self.objective is not None:
            object.__setattr__(self, "objective", _objective(self.objective))

    @classmethod
    def parse(cls, value: Budget | str | float | None) -> Budget:
        """The budget that a text, a number (the most that the call may cost) or None (no caps) stands for.

        Text is caps and an objective separated by commas, in any order: ``"80ms, 150mJ, 99%, cost 0.002, min-energy"``;
        a number in it needs its unit. `InvalidBudget`: anything else, the same cap twice, or a cap that is negative or
        not finite.
        """
        match value:
            case Budget():
                return value
            case None:
                return cls()
            case str():
                return _parsed(value)
            case Real() if not isinstance(value, bool):
                return cls(cost=value)
        raise InvalidBudget(f"a {type(value).__name__} is not a budget: {FORMS}")

    def __str__(self) -> str:
        """The text form, which `parse` reads back to an equal budget."""
        return _text_of(self)


@lru_cache
def _parsed(text: str) -> Budget:
    if len(text) > MAX_TEXT:
        raise InvalidBudget(f"this budget has {len(text)} characters, too many: {FORMS}")
    found: dict[str, Any] = {}
    for token in text.split(",") if text.strip() else []:
        name, value = _parse_token(token.strip())
        if name in found:
            raise InvalidBudget(f"{text!r} sets {name} twice")
        found[name] = value
    return Budget(**found)


@lru_cache
def _text_of(budget: Budget) -> str:
    percent = None if budget.fidelity is None else f"{Decimal(str(budget.fidelity)).scaleb(2):f}"
    parts = [
        ("", budget.latency_ms, "ms"),
        ("", budget.energy_mj, "mJ"),
        ("", percent, "%"),
        ("cost ", budget.cost, ""),
    ]
    tokens = [f"{word}{str(value).removesuffix('.0')}{unit}" for word, value, unit in parts if value is not None]
    return ",".join([*tokens, *([_WORDS[budget.objective]] if budget.objective else [])])


def _cap(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidBudget(f"{name}: {value!r} is not a number")
    cap = _finite(name, value)
    if cap < 0:
        raise InvalidBudget(f"{name}: {cap!r} is negative")
    return cap


def _objective(value: Any) -> Objective:
    try:
        return Objective(value)
    except ValueError as error:
        raise InvalidBudget(f"objective: {value!r} is none of {', '.join(Objective)}") from error


def _finite(name: str, value: Real) -> float:
    with contextlib.suppress(OverflowError):
        if math.isfinite(cap := float(value)):
            return cap
    raise InvalidBudget(f"{name}: {str(value)[:40]} is not finite; for no cap, leave it out")


def _parse_token(token: str) -> tuple[str, Any]:
    if token in _OBJECTIVES:
        return "objective", _OBJECTIVES[token]
    if (cost := _COST.fullmatch(token)) is not None:
        return "cost", _scaled(cost[1], 0)
    if (parts := _NUMBER.fullmatch(token)) is None:
        raise InvalidBudget(f"cannot read {token!r}{_did_you_mean(token, _OBJECTIVES)}: {FORMS}")
    number, unit = parts[1], parts[2].replace("µ", "u").replace("μ", "u")
    if not unit:
        said = number[:40]
        raise InvalidBudget(f"{said} of what? Write {said}ms (latency), {said}mJ (energy) or cost {said}")
    if unit not in _UNITS:
        raise InvalidBudget(f"unknown unit {unit!r} in {token!r}{_did_you_mean(unit, _UNITS)}: {FORMS}")
    name, power = _UNITS[unit]
    return name, _scaled(number, power)


def _scaled(number: str, power: int) -> float:
    """The number times ten to the power, computed in decimal: 99.9% becomes 0.999, and its text is 99.9% again."""
    try:
        return float(Decimal(number).scaleb(power))
    except ArithmeticError as error:
        raise InvalidBudget(f"{number[:40]} is not a finite number") from error


def _did_you_mean(word: str, known: dict[str, Any]) -> str:
    folded = {name.lower(): name for name in known if name}
    near = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.5)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
