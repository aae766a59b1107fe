"""Whether a picture can be drawn into a file: asked before anything is computed for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from collab_sdk.errors import InvalidRequest

SUFFIXES = (".png", ".svg")


def ready(path: Path, find: Callable[[str], object] = find_spec) -> None:
    """Raises `InvalidRequest` without matplotlib, and where the file could not be written.

    `find`: tells whether a module is installed; None: it is not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidRequest(f"{path}: pictures are written as {' or '.join(SUFFIXES)}")
    if path.is_dir():
        raise InvalidRequest(f"{path} is a directory")
    if not path.parent.is_dir():
        raise InvalidRequest(f"{path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidRequest(f"{path}: it may not be written")
    if find("matplotlib") is None:
        raise InvalidRequest("--plot needs matplotlib: pip install 'collabd[plot]'")
