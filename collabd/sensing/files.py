"""Reading the small files of /proc and /sys, where a driver may write anything, or refuse to answer."""

from __future__ import annotations

import math
from pathlib import Path

from collabd.sensing.reading import NotMeasured

# /proc/stat of a machine with hundreds of cores; everything else is far shorter.
_MOST_BYTES = 1 << 17


def read_text(path: Path) -> str | NotMeasured:
    """The text of `path` without surrounding white space, or why there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError as error:
        return NotMeasured(f"{path}: {(error.strerror or str(error)).lower()}")


def read_number(path: Path) -> float | NotMeasured:
    """The finite number that `path` holds and nothing else, or why there is none."""
    text = read_text(path)
    if isinstance(text, NotMeasured):
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else NotMeasured(f"{path}: not a number: {text[:20]!r}")
