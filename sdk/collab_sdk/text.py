"""Text from elsewhere, made fit to be shown: what a companion says, what stands in a package, what a file is called.

A terminal obeys what it is shown, and a line break makes one line of a log two. So text is cleaned where it enters, and
what is printed, logged and reported later is harmless.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["plain", "plain_values"]

# What a terminal takes for orders (ECMA-48): control sequences, strings with all that they hold, and short escapes.
_ORDERS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~])?")
# Control characters, those that turn the direction of writing, and halves of characters, which cannot be printed.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """The text in one line and without control characters; of what was several lines, "; " stands between two."""
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
