"""The memory, files and threads of a process, measured from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import requests

from collab_sdk import ControlClient
from collab_sdk.reports import CloudStatusReport
from tests.soak.bed import SoakBed

Side = Literal["device", "cloud"]
SIDES: tuple[Side, ...] = ("device", "cloud")
_MB = 1e6


@dataclass(frozen=True)
class Sample:
    """One daemon after so many requests; `figures` has the names of the measures.

    `toured`: every session was asked for in the same order just before, so that the same ones are cached.
    """

    requests: int
    side: Side
    pid: int
    figures: Mapping[str, float]
    toured: bool = False


def look(bed: SoakBed, client: ControlClient, done: int, *, toured: bool = False) -> list[Sample]:
    """Both daemons now; a daemon that is just restarting is left out."""
    found = []
    for side in SIDES:
        try:
            process = bed.process(side)
            figures = _figures(process, *_sessions(bed, client, side))
        except (psutil.Error, OSError):
            continue
        found.append(Sample(done, side, process.pid, figures, toured))
    return found


def _figures(process: psutil.Process, sessions: int, session_mb: float) -> dict[str, float]:
    memory = process.memory_full_info()
    files = [_target(entry) for entry in os.scandir(f"/proc/{process.pid}/fd")]
    return {
        "rss_mb": memory.rss / _MB,
        "uss_mb": memory.uss / _MB,
        "fds": len(files),
        "sockets": sum(target.startswith("socket:") for target in files),
        # A session has a thread for each core but the caller's.
        "threads": process.num_threads() - sessions * ((os.cpu_count() or 1) - 1),
        "sessions": sessions,
        "session_mb": session_mb,
        "rest_mb": memory.rss / _MB - session_mb,
    }


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return str(Path(entry.path).readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def _sessions(bed: SoakBed, client: ControlClient, side: Side) -> tuple[int, float]:
    """How many sessions a daemon holds, and their own megabytes. Raises `requests.RequestException`."""
    if side == "device":
        device = client.status()["device"]
        return device["sessions"], device["session_mb"]
    status: CloudStatusReport = requests.get(f"http://127.0.0.1:{bed.cloud_port}/collab/v1/status", timeout=5).json()
    return status["engine"]["sessions"], status["engine"]["bytes"] / _MB
