"""Where targets keep files. In memory where that is possible: what is written here is synced to disk each time."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes the directory there, nobody guesses its name


def new_directory(purpose: str) -> Path:
    """A fresh directory, gone when the process ends."""
    path = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=_parent()))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def _parent() -> Path | None:
    # `make fuzz` names one, since a fuzzer that ends runs no exit handlers.
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK):
        return _MEMORY
    return None
