"""Directories that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = ".new-"


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """A fresh directory to fill. On a clean exit it becomes `target`; on an error it is removed.

    A `target` that exists is replaced. Directories that are not finished have hidden names. If the process dies in the
    middle, `tidy` removes what is left of them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{target.name}-", dir=target.parent))
    # The kernel frees it when this process ends.
    lock = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        filled = scratch / "new"
        filled.mkdir()
        yield filled
        _flush(*filled.iterdir(), filled)
        if target.exists():
            target.rename(scratch / "old")
        filled.rename(target)
        _flush(target.parent)
    finally:
        _restore(scratch, target)
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def remove_directory(target: Path) -> None:
    """Remove `target`. Its name goes first, so that one that is cut short leaves no half. Needs no free space."""
    gone = target.with_name(f"{_TEMPORARY}{target.name}-gone")
    if gone.exists():
        shutil.rmtree(gone)
    target.rename(gone)
    shutil.rmtree(gone)


def tidy(parent: Path) -> None:
    """Remove the unfinished directories that dead processes left in `parent`. Raises `OSError`.

    A directory that was about to be replaced gets its name back.
    """
    for scratch in parent.glob(f"{_TEMPORARY}*"):
        lock = os.open(scratch, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _restore(scratch, parent / scratch.name.removeprefix(_TEMPORARY).rpartition("-")[0])
            shutil.rmtree(scratch)
        except BlockingIOError:
            pass  # another process fills it right now
        finally:
            os.close(lock)


def _restore(scratch: Path, target: Path) -> None:
    if (scratch / "old").exists() and not target.exists():
        (scratch / "old").rename(target)


def _flush(*paths: Path) -> None:
    """Write the contents to the disk. A Pi may lose power at any time, and then a rename could survive without them."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
