"""What can be wrong with any machine: room on its disk, its memory, its clock. `root`: where its /run and /proc are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from collabd.health.conditions import Code, Sighting
from collabd.limits.memory import usable_memory

# An update of the system writes tens of megabytes, and a package of a network may have a hundred.
_LOW_BYTES = 200e6
_FULL_BYTES = 20e6
_LEAST_MEMORY = 0.05
_MEMORY = re.compile(r"^(MemTotal|MemAvailable): +(\d+) kB$", re.MULTILINE | re.ASCII)
_PROCESS = psutil.Process()


def disk_of(directory: Path) -> Iterator[Sighting]:
    """Whether the directory, which need not exist yet, has room."""
    place = next((each for each in (directory, *directory.parents) if each.exists()), Path("/"))
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    code = Code.DISK_FULL if free < _FULL_BYTES else Code.DISK_LOW
    if free < _LOW_BYTES:
        yield Sighting(code=code, what=f"{free / 1e6:.0f} MB are free for {directory}")


def clock_of(root: Path) -> Iterator[Sighting]:
    """Whether systemd's time service runs and has not set the clock. Of other services nothing is known here."""
    folder = root / "run/systemd/timesync"
    if folder.is_dir() and not (folder / "synchronized").exists():
        yield Sighting(code=Code.CLOCK_OFF, what="the network has not set the clock since this machine started")


def memory_of(root: Path) -> Iterator[Sighting]:
    """Whether the machine has memory left, and this process within the limit of its control group."""
    try:
        found = {name: int(kb) << 10 for name, kb in _MEMORY.findall((root / "proc/meminfo").read_text())}
    except FileNotFoundError:
        return
    usable = usable_memory(machine=found["MemTotal"])
    free = min(found["MemAvailable"], usable - _PROCESS.memory_info().rss)
    if free < _LEAST_MEMORY * usable:
        yield Sighting(code=Code.MEMORY_LOW, what=f"{free / 1e6:.0f} of {usable / 1e6:.0f} MB of memory are free")
