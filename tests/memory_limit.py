"""A memory cgroup: what is started in it gets no more than so many bytes, as on a board with little memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ROOT = Path("/sys/fs/cgroup")
_EMPTY_S = 5.0


class MemoryLimit:
    """A cgroup of version 1 where its memory controller is mounted so, otherwise of version 2."""

    def __init__(self, limit: int) -> None:
        self._first = (_ROOT / "memory").is_dir()
        self._outside = _ROOT / "memory" if self._first else _ROOT
        self._group = self._outside / f"collabd-memory-{os.getpid()}-{time.monotonic_ns()}"
        self._group.mkdir()
        try:
            with (self._group / ("memory.limit_in_bytes" if self._first else "memory.max")).open("r+") as file:
                file.write(str(limit))
        except OSError:
            self._group.rmdir()
            raise

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this process starts meanwhile is in the cgroup from its beginning, and stays there."""
        (self._group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (self._outside / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self) -> int:
        """The most bytes that were taken at a time, files that the kernel keeps for them included."""
        return int((self._group / ("memory.max_usage_in_bytes" if self._first else "memory.peak")).read_text())

    def kills(self) -> int:
        """How often the kernel killed for lack of memory."""
        events = (self._group / ("memory.oom_control" if self._first else "memory.events")).read_text().split()
        return int(events[events.index("oom_kill") + 1])

    def remove(self) -> None:
        """Remove the cgroup, once its processes have ended."""
        deadline = time.monotonic() + _EMPTY_S
        while (self._group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._group.rmdir()


@contextmanager
def memory_limit(limit: int) -> Iterator[MemoryLimit]:
    """Skips the test where this process may make no memory cgroup."""
    try:
        group = MemoryLimit(limit)
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made under {_ROOT} (it needs root): {error}")
    try:
        yield group
    finally:
        group.remove()
