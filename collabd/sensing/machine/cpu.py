"""How busy each core is, and how much of that is this process itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import psutil

from collabd.sensing.files import read_text
from collabd.sensing.reading import Measured, NotMeasured, Reading

# The kernel counts in ticks of 10 ms. Over fewer than ten ticks a load is mostly rounding.
_TICK_S = 0.01
_LEAST_S = 10 * _TICK_S
# user nice system idle iowait irq softirq steal. The two columns of guests that follow are contained in user and nice.
_COLUMNS = 8
_LOADAVG = Path("/proc/loadavg")
# "0.20 0.18 0.12 3/1200 11206": of 1200 tasks three run or want to run.
_RUNNING = re.compile(r" ([0-9]{1,9})/", re.ASCII)


class CoreTime(NamedTuple):
    """Seconds since boot. What a hypervisor took away counts as busy."""

    busy_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class CpuCounters:
    """The kernel's counters. `own_s`: processor time of this process. `running`: tasks that run now or want to run."""

    cores: tuple[CoreTime, ...]
    own_s: float
    running: int


ReadCounters: TypeAlias = Callable[[], CpuCounters | NotMeasured]


@dataclass(frozen=True, slots=True)
class Load:
    """Shares of time, 0 to 1, since the previous sample.

    `cores`: for each online core the share in which it was busy, or taken away by a hypervisor. `own`: the share of all
    cores together that this process took. `waiting`: how many more tasks than cores wanted to run at the moment of the
    sample.
    """

    cores: tuple[float, ...]
    own: float
    waiting: int = 0

    @property
    def mean(self) -> float:
        """The busy share of all cores together."""
        return sum(self.cores) / len(self.cores)

    @property
    def others(self) -> float:
        """The share of all cores together that other processes took."""
        return max(self.mean - self.own, 0.0)


def read_counters() -> CpuCounters | NotMeasured:
    """This machine's counters. `ProcSubset=pid` in a unit hides them."""
    try:
        cores = tuple(core_time(columns) for columns in psutil.cpu_times(percpu=True))
    except (OSError, ValueError, TypeError) as error:
        return NotMeasured(f"cpu times: {error}")
    if not cores:
        return NotMeasured("cpu times: the kernel shows no core")
    return CpuCounters(cores, time.process_time(), running_tasks(read_text(_LOADAVG)))


def core_time(columns: Sequence[float]) -> CoreTime:
    """Of one core, from the columns of psutil."""
    _, _, _, idle, iowait, *_ = columns
    total = sum(columns[:_COLUMNS])
    return CoreTime(total - idle - iowait, total)


def running_tasks(loadavg: str | NotMeasured) -> int:
    """How many tasks run or want to run, from /proc/loadavg; 0 where it does not say."""
    found = None if isinstance(loadavg, NotMeasured) else _RUNNING.search(loadavg)
    return int(found[1]) if found else 0


class CpuLoad:
    """Load between two samples."""

    def __init__(self, counters: ReadCounters = read_counters) -> None:
        self._counters = counters
        self._before: CpuCounters | None = None
        self._last: Measured[Load] = NotMeasured("cpu times: a load takes two samples, this is the first")

    def read(self, now: float) -> Measured[Load]:
        """The load since the previous sample; if hardly a tick has passed since, that of the previous sample."""
        counters = self._counters()
        if isinstance(counters, NotMeasured):
            return counters
        # CpuCounters do not say which core they belong to, so they begin anew when a core came or went.
        if self._before is None or len(counters.cores) != len(self._before.cores):
            self._before = counters
        else:
            self._measure(now, counters, self._before)
        return self._last

    def _measure(self, now: float, counters: CpuCounters, before: CpuCounters) -> None:
        passed = [_passed(*pair) for pair in zip(before.cores, counters.cores, strict=True)]
        passed = [core for core in passed if core.total_s > 0]
        whole_s = sum(core.total_s for core in passed)
        if not passed:
            # Every counter ran backwards (a restored container), so the previous sample is useless.
            self._before = counters
        if whole_s < _LEAST_S * len(counters.cores):
            return
        own = min(max(counters.own_s - before.own_s, 0.0) / whole_s, 1.0)
        # Our own task, which is running as it reads this, does not count.
        waiting = max(counters.running - 1 - len(passed), 0)
        load = Load(tuple(core.busy_s / core.total_s for core in passed), own, waiting)
        self._last = Reading(load, now, spread=_TICK_S / min(core.total_s for core in passed))
        self._before = counters


def _passed(before: CoreTime, after: CoreTime) -> CoreTime:
    # The kernel's idle and iowait of a core can run backwards by a little.
    total_s = max(after.total_s - before.total_s, 0.0)
    return CoreTime(min(max(after.busy_s - before.busy_s, 0.0), total_s), total_s)
