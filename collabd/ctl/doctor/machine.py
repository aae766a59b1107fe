"""The machine that doctor examines: its files below a root, its programs, and the user who runs doctor."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

AS_ROOT = "Run doctor as root: sudo collabctl doctor"
_TIMEOUT_S = 10.0


class Answer(NamedTuple):
    """The output of a program and its exit status; a negative status is the signal that ended the program."""

    status: int
    out: str
    err: str


class User(NamedTuple):
    """The user who runs this: the name, and the ids by which the kernel grants access."""

    uid: int
    name: str
    groups: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes."""

    total: int
    left: int
    swap: int
    swap_left: int


# Runs a command and returns its answer; None: the program is not installed, or did not end in time.
Run = Callable[[Sequence[str]], Answer | None]


def run(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> Answer | None:
    """Run a program to its end."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603
            [path, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Answer(done.returncode, done.stdout, done.stderr)


def whoever_runs_this() -> User:
    """The user of this process."""
    import pwd

    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(uid, name, frozenset((*os.getgroups(), os.getegid())))


def read_memory() -> Memory | None:
    """The memory of this machine; None: the kernel does not tell."""
    import psutil

    try:
        with warnings.catch_warnings():
            # psutil warns if the kernel does not report swapping, which nobody needs here.
            warnings.simplefilter("ignore", RuntimeWarning)
            memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    except (OSError, KeyError, ValueError):
        return None
    return Memory(total=memory.total, left=memory.available, swap=swap.total, swap_left=swap.free)


@dataclass(frozen=True, kw_only=True)
class ExaminedMachine:
    """`root` has the files of /etc, /run, /sys and /var below it."""

    root: Path = Path("/")
    run: Run = run
    user: User = field(default_factory=whoever_runs_this)
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    memory: Callable[[], Memory | None] = read_memory

    def path(self, absolute: str) -> Path:
        """The path below `root` of a file of the machine."""
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str | None:
        """The text of a small file; None: there is none, or it cannot be read."""
        try:
            return self.path(absolute).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None
