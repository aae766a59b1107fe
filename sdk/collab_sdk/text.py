"""Makes text from outside safe to show: a companion's messages, a package's content, file names.

A terminal obeys control sequences in text, and a line break splits one log entry into two. So the text is cleaned where
it enters, and everything that is printed, logged or reported later is harmless.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["plain", "plain_values"]

# Sequences that a terminal obeys (ECMA-48): control sequences, control strings with their content, short escapes.
_ORDERS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~])?")
# Control characters, characters that change the direction of writing, and lone surrogates, which cannot be printed.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """The text in one line and without control characters; "; " replaces each line break."""
    if text.isprintable():
        return text
    lines = _ORDERS.sub("", text).splitlines()
    return "; ".join(filter(None, (_UNSEEN.sub("", line.replace("\t", " ")).strip() for line in lines)))


def plain_values(value: Any) -> Any:
    """The same JSON value with every text in it made `plain`, keys too."""
    match value:
        case str():
            return plain(value)
        case list():
            return [plain_values(item) for item in value]
        case dict():
            return {plain(key): plain_values(item) for key, item in value.items()}
    return value
