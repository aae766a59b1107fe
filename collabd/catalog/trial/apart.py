"""A graph from a stranger is judged and first run in a process of its own. What it breaks there breaks nothing else.

The libraries that read and run graphs are large, written in C++, and were not made for files that mean harm.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

from collab_sdk.errors import DaemonFault, InvalidPackage
from collab_sdk.text import plain

log = logging.getLogger(__name__)

# The exit status of a trial that refused a package and printed the reason.
REFUSED = 3
_WALL_S = 300.0
_LONGEST_REASON = 1000


def try_apart(directory: Path, *, python: str = sys.executable, wall_s: float = _WALL_S) -> None:
    """Raise `InvalidPackage` unless the package in `directory`, whose digest was checked, is safe to load and to run.

    Blocks for a process that takes about a second (see `__main__`).
    """
    command = [python, "-I", "-m", "collabd.catalog.trial", str(directory)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=wall_s, check=False)  # noqa: S603
    except OSError as error:
        raise DaemonFault(f"no process can be started to try the package: {error}") from error
    except subprocess.TimeoutExpired:
        raise InvalidPackage(f"its graphs were not read and run once within {wall_s:.0f} s") from None
    if done.returncode == REFUSED:
        raise InvalidPackage(f"{done.stdout.decode(errors='replace')[:_LONGEST_REASON]}")
    if done.returncode:
        log.warning("the trial of a package failed: %s", plain(done.stderr.decode(errors="replace"))[-_LONGEST_REASON:])
        raise InvalidPackage(f"reading its graphs and running them once ended with {_named(done.returncode)}")


def _named(status: int) -> str:
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "more work than one package may take"
    return signal.Signals(-status).name if status < 0 else f"status {status}"
