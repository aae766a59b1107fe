"""A CPU cgroup in which everything is slow: the kernel gives its processes a share of one core, a few ms at a time.

What runs in it is slow in all that it does, Python too, as on a slow machine. It is also kept on one core: the kernel
hands the quota of a period to the core that asks first, and what is left of it there is lost when the work goes on on
another core. A caller and a daemon that take turns would then wait for a period each time. References: the kernel's
Documentation/scheduler/sched-bwc.rst and Documentation/admin-guide/cgroup-v2.rst (`cpu.max`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

# What the processes may use of each period: the least that the kernel takes. A fifth of a core is 1 ms of each 5 ms, so
# that a call of a few ms meets its share of waiting.
_QUOTA_US = 1_000
_EMPTY_S = 5.0
# A program that enters the cgroup and becomes the command: nothing of the command runs outside.
_ENTER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
with open(sys.argv[2], "w") as members:
    members.write(str(os.getpid()))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class NoSlowCpu(OSError):
    """This machine lets this process make no CPU cgroup. The message says why."""


class SlowCpu:
    """Inside a `with` block, commands run on `share` of one core (0.2: a fifth). `root`: where cgroups are mounted.

    Raises NoSlowCpu on entering where the cgroup cannot be made. On leaving, what still runs in it is killed.
    """

    def __init__(self, share: float, *, root: Path = Path("/sys/fs/cgroup")) -> None:
        self.share = share
        self._root = root
        self._group: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._group = _make(self._root, round(_QUOTA_US / self.share))
        except OSError as error:
            raise NoSlowCpu(
                f"no CPU cgroup can be made under {self._root} (it needs root and a writable CPU controller): {error}"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self.group, None
        deadline = time.monotonic() + _EMPTY_S
        while members := _members(group):
            for member in members:
                _kill(member)
            if time.monotonic() > deadline:
                raise NoSlowCpu(f"{group} still has the processes {members}, although they were killed")
            time.sleep(0.01)
        group.rmdir()

    def command(self, command: Sequence[str]) -> list[str]:
        """The same command, which enters the cgroup before it starts."""
        return [sys.executable, "-I", "-S", "-c", _ENTER, str(_core()), str(self.group / "cgroup.procs"), *command]

    def start(
        self,
        command: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in the cgroup."""
        return subprocess.Popen(self.command(command), stdin=stdin, stdout=stdout, env=environment)  # noqa: S603

    def enter(self) -> None:
        """Move this process, and what it will start, into the cgroup."""
        os.sched_setaffinity(0, {_core()})
        (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self) -> list[int]:
        """The processes inside now."""
        return _members(self.group)

    @property
    def group(self) -> Path:
        """Its directory."""
        if self._group is None:
            raise RuntimeError("a SlowCpu is used inside its with block")
        return self._group


def _core() -> int:
    return max(os.sched_getaffinity(0))


def _make(root: Path, period_us: int) -> Path:
    """A new cgroup, of version 1 where its CPU controller is mounted, otherwise of version 2."""
    first = root / "cpu"
    group = (first if first.is_dir() else root) / f"collabd-slow-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    try:
        if first.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(period_us))
            (group / "cpu.cfs_quota_us").write_text(str(_QUOTA_US))
        else:
            with (group / "cpu.max").open("r+") as limit:  # never made anew where the controller is missing
                limit.write(f"{_QUOTA_US} {period_us}")
    except OSError:
        group.rmdir()
        raise
    return group


def _members(group: Path) -> list[int]:
    return [int(line) for line in (group / "cgroup.procs").read_text().split()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
