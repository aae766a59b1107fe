"""Directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = ".new-"


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """A fresh directory to fill; on a clean exit it becomes `target`, else nothing of it stays behind.

    A `target` that exists is replaced. Hidden names mark the directories that are not finished.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=target.parent))
    try:
        filled = scratch / "new"
        filled.mkdir()
        yield filled
        _flush(filled)
        if target.exists():
            target.rename(scratch / "old")
        filled.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _flush(directory: Path) -> None:
    """A Pi loses power without warning: without this a rename could outlive the contents."""
    for path in [*directory.iterdir(), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
