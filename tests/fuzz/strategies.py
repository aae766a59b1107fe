"""How to make inputs that get past the first check: sound ones, changed where it hurts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# What a JSON decoder takes and its user may not expect.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 5e-324]),
    st.sampled_from(["", "nan", "inf", "\0", "\ud800", "é" * 300, "../../etc", "~nobody/x", "%00", "1e400", "sha256:"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.integers(-3, 300), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.integers(2, 60).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)


def bytes_like(seeds: Sequence[bytes], words: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """A seed with a few places overwritten, cut out, doubled or filled in."""
    pieces = st.one_of(st.binary(max_size=12), st.sampled_from([word.encode() for word in words] or [b"\0\0\0\0"]))
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 64), pieces), max_size=5)
    return st.builds(_edited, st.sampled_from(list(seeds)), edits)


def _edited(seed: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for place, length, piece in edits:
        at = round(place * len(seed))
        seed = seed[:at] + piece + seed[at + length :]
    return seed


@st.composite
def json_like(draw: st.DrawFn, sound: Any) -> Any:
    """A JSON value with some of its members, at any depth, replaced, left out or repeated."""
    value = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(0, 3))):
        if places := _places(value):
            _change(draw, *draw(st.sampled_from(places)))
    return value


def _change(draw: st.DrawFn, holder: Any, key: Any) -> None:
    match draw(st.sampled_from(["replace", "remove", "repeat"])):
        case "remove":
            del holder[key]
        case "repeat" if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            holder[key] = draw(ODD)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of every list and object."""
    keys = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]
