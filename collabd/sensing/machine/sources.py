"""Where the sensors of a machine read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from collabd.sensing.machine.cpu import ReadCounters, read_counters
from collabd.sensing.machine.firmware import Vcgencmd, vcgencmd


@dataclass(frozen=True)
class MachineSources:
    """`root`: the directory of /proc and /sys. `counters`: the kernel's, of the cores. `vcgencmd`: a Pi's firmware."""

    root: Path = Path("/")
    counters: ReadCounters = read_counters
    vcgencmd: Vcgencmd = field(default_factory=vcgencmd)


THIS_MACHINE = MachineSources()
