"""A provider first runs a package in a process of its own. What its libraries break there breaks nothing else."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from collab_sdk.text import plain
from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.manifest import Agreement
from collabd.providers.reason import short

log = logging.getLogger(__name__)

# The exit status of a trial that refused a provider and printed the reason.
REFUSED = 3
# TensorRT builds its kernels for minutes.
_WALL_S = 600.0
TRIAL = (sys.executable, "-I", "-m", "collabd.providers")


def try_apart(
    provider: Provider, directory: Path, threads: int, *, trial: Sequence[str] = TRIAL, wall_s: float = _WALL_S
) -> str:
    """Why the provider cannot run the package in `directory`; empty: it can, and answers as the CPU's provider does.

    Blocks for a process that takes a few seconds.
    """
    return _tried([*trial, provider.value, str(directory), str(threads)], provider, wall_s).refusal


def count_apart(
    provider: Provider,
    directory: Path,
    threads: int,
    *,
    precision: Precision,
    trial: Sequence[str] = TRIAL,
    wall_s: float = _WALL_S,
) -> Agreement | str:
    """How many answers of the package in `directory` stay if the provider computes in this reduced precision.

    Or why it is not to compute in it. Blocks for a process that takes a few seconds.
    """
    tried = _tried([*trial, provider.value, str(directory), str(threads), precision.value], provider, wall_s)
    if tried.refusal:
        return tried.refusal
    try:
        return msgspec.json.decode(tried.said, type=Agreement)
    except msgspec.MsgspecError as error:
        return f"its trial told nothing that can be read: {error}"


class _Tried(NamedTuple):
    """Why a trial refused; empty: it did not. `said`: its last line."""

    refusal: str
    said: str = ""


def _tried(command: Sequence[str], provider: Provider, wall_s: float) -> _Tried:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=wall_s, check=False)  # noqa: S603
    except OSError as error:
        return _Tried(f"no process can be started to try it: {error}")
    except subprocess.TimeoutExpired:
        return _Tried(f"its trial did not end within {wall_s:.0f} s")
    said = done.stdout.decode(errors="replace").rpartition("\n")[2]
    if done.returncode == REFUSED:
        return _Tried(short(said) or "its trial refused it without a reason")
    if done.returncode:
        log.warning("the trial of %s failed: %s", provider, plain(done.stderr.decode(errors="replace"))[-1000:])
        return _Tried(f"its trial ended with {_named(done.returncode)}")
    return _Tried("", said)


def _named(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
