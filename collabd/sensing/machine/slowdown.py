"""How much slower this machine should run a network now than alone and at full clock: from load, clock and throttling.

**Other load.** Linux shares cores fairly among the tasks that want to run. A run has t threads on n cores, beside L
other tasks. While there are cores for all (t + L <= n), it is not disturbed. Beyond that, e = t + L - n tasks are too
many. They spread over the t threads of the run, but no thread shares its core with more than L/n tasks, which is the
mean over all cores. So the run takes 1 + min(e/t, L/n) times as long. Examples on 4 cores: a single thread is not
slowed by 3 tasks, has half the speed beside 4, and a third beside 8; four threads are slowed 1.25 times by one task.

L counts more than the cores that other tasks keep busy, since tasks that wait would run if they could. Where b cores
are busy and w tasks wait, each running task stands for 1 + w/b tasks, our own included. Niceness is left out: between
sessions and between units it has no effect, since the kernel shares the cores among those first.

**Clock.** A run takes longer by the highest clock over the clock allowed now. The kernel does not see what a Pi's
firmware does on its own: the flags say that it lowers the clock, but not how far, which may be down to 600 MHz.
"""

from __future__ import annotations

from collabd.sensing.machine.cpu import Load
from collabd.sensing.machine.frequency import Frequency
from collabd.sensing.machine.throttling import Throttling
from collabd.sensing.reading import Measured, NotMeasured

# The geometric mean of no slowdown and that of a Pi 4 at 600 MHz instead of 1.8 GHz.
_HELD_BACK = 1.7


def crowding(load: Measured[Load], pressure: Measured[float], threads: int) -> float:
    """How many times longer a run of `threads` takes since others use the cores; 1 where that is not measured."""
    if isinstance(load, NotMeasured):
        return 1.0
    cores = len(load.value.cores)
    others = competing(load.value, pressure)
    too_many = max(threads + others - cores, 0.0)
    return 1.0 + min(too_many / threads, others / cores)


def competing(load: Load, pressure: Measured[float]) -> float:
    """How many tasks of other processes want a core, on average."""
    busy = load.mean * len(load.cores)
    if not load.others or not busy:
        return 0.0
    waiting = float(load.waiting)
    if not isinstance(pressure, NotMeasured):
        # The share of time in which tasks waited, times the number that waited at the moment of the sample.
        waiting = pressure.value * max(waiting, 1.0)
    running = load.others * len(load.cores)
    # Computed in this order, since `waiting / busy` may overflow where next to nothing is busy.
    return running + waiting * (running / busy)


def clocking(frequency: Measured[Frequency], throttling: Measured[Throttling]) -> float:
    """How many times longer a run takes since the clock is held back; 1 where that is not measured."""
    known = 1.0
    if not isinstance(frequency, NotMeasured):
        known = max(frequency.value.max_mhz / frequency.value.limit_mhz, 1.0)
    if isinstance(throttling, NotMeasured):
        return known
    held_back = throttling.value.now.frequency_capped or throttling.value.now.throttled
    return max(known, _HELD_BACK) if held_back else known
