"""OIP parameters: flat objects that hold JSON scalars only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class WireError(ValueError):
    """The bytes are no well-formed message, or the message cannot be put on the wire."""


def scalar(key: str, value: Any) -> Any:
    """The value, if it is a string, a bool, an integer of 64 bits or a finite float. WireError: anything else."""
    match value:
        case str() | bool():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
    raise WireError(f"parameter {key!r}: {str(value)[:40]} is not a string, a boolean or a finite number")


def scalars(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the parameters, each of them checked by `scalar`."""
    return {key: scalar(key, value) for key, value in parameters.items()}


def received(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request from outside, without those that are null.

    A value that is no scalar becomes text such as "a list". Code that does not know the parameter ignores it, as the
    protocol demands; code that knows the parameter refuses the text.
    """
    return {key: _in_words(key, value) for key, value in parameters.items() if value is not None}


def _in_words(key: str, value: Any) -> Any:
    try:
        return scalar(key, value)
    except WireError:
        return f"a {type(value).__name__}"


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as the scalars that OIP parameters can hold: ``{"a": {"b": 1}}`` is ``{"a.b": 1}``.

    None is left out: a value that was not measured is absent on the wire. WireError: a value is no scalar.
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()}
        elif value is not None:
            flat[key] = scalar(key, value)
    return flat


def unflatten(flat: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The nested form of what `flatten` made; with a prefix "a", only the keys that begin with ``a.``.

    WireError: a key is both a value and a group.
    """
    nested: dict[str, Any] = {}
    start = f"{prefix}." if prefix else ""
    for key in (key for key in flat if key.startswith(start)):
        *groups, last = key.removeprefix(start).split(".")
        at = nested
        for group in groups:
            at = at.setdefault(group, {})
            if not isinstance(at, dict):
                raise WireError(f"parameter {key!r}: {group!r} has a value of its own")
        if last in at:
            raise WireError(f"parameter {key!r} also has parameters below it")
        at[last] = flat[key]
    return nested
