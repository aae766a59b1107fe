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
    """A fresh directory to fill; on a clean exit it becomes `target`, else nothing of it stays behind.

    A `target` that exists is replaced. Hidden names mark the directories that are not finished; what a process leaves
    of them when it dies in the middle, `tidy` sets right.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{target.name}-", dir=target.parent))
    # Held as long as this process lives.
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
    """Remove `target`, which is gone at once even if removing its files is cut short. Needs no room on the disk."""
    gone = target.with_name(f"{_TEMPORARY}{target.name}-gone")
    if gone.exists():
        shutil.rmtree(gone)
    target.rename(gone)
    shutil.rmtree(gone)


def tidy(parent: Path) -> None:
    """Remove what processes that died left unfinished in `parent`. Raises `OSError`.

    A directory that had made way for its successor takes its place again.
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
    """A Pi loses power without warning: without this a rename could outlive the contents."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
