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


def _is_plain(value: Any) -> bool:
    """Whether the value is surely a scalar; nearly all are."""
    kind = type(value)
    return kind is str or kind is bool or (kind is float and math.isfinite(value))


def scalars(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the parameters, each of them checked by `scalar`."""
    for key, value in parameters.items():
        # An answer has forty, so the usual ones are looked at here.
        kind = type(value)
        if not (kind is str or kind is bool or (kind is float and math.isfinite(value))):
            scalar(key, value)
    return dict(parameters)


def received(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request from outside, without those that are null.

    A value that is no scalar becomes text such as "a list". Code that does not know the parameter ignores it, as the
    protocol demands; code that knows the parameter refuses the text.
    """
    return {
        key: value if _is_plain(value) else _in_words(key, value)
        for key, value in parameters.items()
        if value is not None
    }


def _in_words(key: str, value: Any) -> Any:
    try:
        return scalar(key, value)
    except WireError:
        return f"a {type(value).__name__}"
