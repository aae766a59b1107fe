"""What to say of an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from collab_sdk.errors import UnknownModel

_LONGEST = 80


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` with a known name that begins with `word` or is spelt much like it, else empty."""
    by_letters = {name.lower(): name for name in known}
    wanted = word[:_LONGEST].lower()
    begin = [name for name in by_letters if wanted and name.startswith(wanted)]
    near = begin or difflib.get_close_matches(wanted, by_letters, n=1, cutoff=0.5)
    return f", did you mean {by_letters[near[0]]!r}?" if near else ""


def unknown_model(name: str, loaded: Iterable[str]) -> UnknownModel:
    """The error for the name of a model that is not among the `loaded` ones."""
    names = list(loaded)
    known = ", ".join(names) or "none"
    return UnknownModel(f"no model {name[:_LONGEST]!r} is loaded (these are: {known}){did_you_mean(name, names)}")
