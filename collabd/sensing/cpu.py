"""How busy each core is, and how much of that is this process itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from collabd.sensing.files import read_text
from collabd.sensing.reading import Measured, NotMeasured, Reading

# A tick is 10 ms: over fewer than these of them a load is mostly rounding.
_LEAST_TICKS = 10
# user nice system idle iowait irq softirq steal; the two of guests that follow are within user and nice.
_COLUMNS = 8
_IDLE, _IOWAIT = 3, 4
_RUNNING = re.compile(r"^procs_running ([0-9]{1,9})$", re.MULTILINE | re.ASCII)


class Ticks(NamedTuple):
    """Ticks since boot."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class Load:
    """Shares from 0 to 1 since the sample before.

    `cores`: how much of the time each online core was busy or taken away by a hypervisor. `own`: what this process took
    of all cores together; None where that cannot be read. `waiting`: how many tasks more than cores wanted to run, at
    the moment of the sample.
    """

    cores: tuple[float, ...]
    own: float | None
    waiting: int = 0

    @property
    def mean(self) -> float:
        """Of all cores together."""
        return sum(self.cores) / len(self.cores)

    @property
    def others(self) -> float | None:
        """What other processes took of all cores together."""
        return None if self.own is None else max(self.mean - self.own, 0.0)


class CpuLoad:
    """Load from one sample to the next. `ProcSubset=pid` in a unit hides /proc/stat: not measured then."""

    def __init__(self, root: Path) -> None:
        self._stat = root / "proc/stat"
        self._own = root / "proc/self/stat"
        self._before: tuple[dict[int, Ticks], int | None] | None = None
        self._last: Measured[Load] = NotMeasured(f"{self._stat}: a load needs two samples, and this is the first")

    def read(self, now: float) -> Measured[Load]:
        """The load since the sample before; where hardly a tick has passed since, that of the sample before."""
        text = read_text(self._stat)
        if isinstance(text, NotMeasured):
            return text
        cores = parse_cores(text)
        if not cores:
            return NotMeasured(f"{self._stat}: it lists no core")
        own = read_text(self._own)
        ticks = None if isinstance(own, NotMeasured) else parse_process(own)
        if self._before is None:
            self._before = cores, ticks
        else:
            self._measure(now, cores, ticks, *self._before, parse_running(text))
        return self._last

    def _measure(
        self,
        now: float,
        cores: dict[int, Ticks],
        own: int | None,
        before: dict[int, Ticks],
        own_before: int | None,
        running: int,
    ) -> None:
        passed = [_passed(before[core], cores[core]) for core in sorted(cores.keys() & before.keys())]
        passed = [ticks for ticks in passed if ticks.total > 0]
        whole = sum(ticks.total for ticks in passed)
        if not passed:
            # Every counter ran backwards (a restored container): what was read before is of no use any more.
            self._before = cores, own
        if whole < _LEAST_TICKS * len(cores):
            return
        share = None if own is None or own_before is None else min(max(own - own_before, 0) / whole, 1.0)
        # The one that runs and reads this is not to be counted.
        waiting = max(running - 1 - len(passed), 0)
        load = Load(tuple(ticks.busy / ticks.total for ticks in passed), share, waiting)
        self._last = Reading(load, now, spread=1 / min(ticks.total for ticks in passed))
        self._before = cores, own


def parse_cores(text: str) -> dict[int, Ticks]:
    """Core number to ticks, from /proc/stat; lines that are something else are passed over."""
    cores = {}
    for line in text.splitlines():
        name, *columns = line.split() or [""]
        if not (name.startswith("cpu") and name != "cpu"):
            continue
        try:
            core, ticks = int(name[3:]), [int(column) for column in columns[:_COLUMNS]]
        except ValueError:
            continue
        if len(ticks) > _IOWAIT and min(ticks) >= 0:
            total = sum(ticks)
            cores[core] = Ticks(total - ticks[_IDLE] - ticks[_IOWAIT], total)
    return cores


def parse_running(text: str) -> int:
    """How many tasks run or could, from /proc/stat; 0 where it does not say."""
    found = _RUNNING.search(text)
    return int(found[1]) if found else 0


def parse_process(text: str) -> int | None:
    """Ticks of all threads of the process, from /proc/self/stat: utime and stime, the 14th and 15th field."""
    # The second field, the name, is in parentheses and may hold anything, spaces and parentheses too.
    fields = text.rpartition(")")[2].split()
    try:
        ticks = [int(field) for field in fields[11:13]]
    except ValueError:
        return None
    return sum(ticks) if len(ticks) == 2 and min(ticks) >= 0 else None


def _passed(before: Ticks, after: Ticks) -> Ticks:
    # The kernel's idle and iowait of a core can run backwards by a little.
    total = max(after.total - before.total, 0)
    return Ticks(min(max(after.busy - before.busy, 0), total), total)
