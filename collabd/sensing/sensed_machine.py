"""The machine that sensors look at: this one, or one that a test or a simulation makes up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collabd.sensing.machine.cpu import ReadCounters, read_counters
from collabd.sensing.machine.firmware import Vcgencmd, vcgencmd
from collabd.sensing.reading import NotMeasured


@dataclass(frozen=True, kw_only=True)
class SensedMachine:
    """`root`: the directory of its /proc and /sys. `counters`: those of its kernel. `firmware`: how to ask its own."""

    root: Path
    counters: ReadCounters
    firmware: Vcgencmd


THIS_MACHINE = SensedMachine(root=Path("/"), counters=read_counters, firmware=vcgencmd())

_NOTHING = NotMeasured("this machine shows nothing")
# Plans for it are made as for one that has nothing else to do.
SHOWS_NOTHING = SensedMachine(root=Path("/nonexistent"), counters=lambda: _NOTHING, firmware=lambda *_: _NOTHING)
