"""How the programs that make a release are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def python(module: str, *arguments: str | Path, epoch_s: int | None = None) -> None:
    """`python -m MODULE` of this environment, as `run` runs a command."""
    run(sys.executable, "-m", module, *arguments, epoch_s=epoch_s)


def run(*command: str | Path, cwd: Path | None = None, epoch_s: int | None = None) -> None:
    """A command, which tells of errors only. `epoch_s`: what it writes for the time. Raises `CalledProcessError`."""
    time = {} if epoch_s is None else {"SOURCE_DATE_EPOCH": str(epoch_s)}
    # The modes of files that it makes follow this umask, whoever releases.
    subprocess.run(command, check=True, cwd=cwd, umask=0o022, env={**os.environ, **time}, stdout=subprocess.DEVNULL)
