"""How much slower this machine should run a network now than alone and at full clock: from load, clock and throttling.

**Other load.** Linux shares cores fairly among the tasks that want to run. A run of t threads on n cores beside L
such tasks is not disturbed while there are cores left for all, t + L <= n. Beyond that each of its threads shares a
core: with the e = t + L - n that are too many, spread over its t threads, but with no more of them than there are on
a core, L/n. So it takes 1 + min(e/t, L/n) times as long: a single thread on 4 cores is not slowed by 3 tasks, is
halved by 4, and gets a third beside 8; four threads are slowed 1.25 times by the first of them.

L is more than the cores that others keep busy: a task that waits would run if it could. Where b cores are busy and w
tasks wait, each task that runs stands for 1 + w/b of them, our own alike. Niceness is left out: between sessions and
between units it counts for nothing, since the kernel shares the cores among those first.

**Clock.** Time is inverse to it: highest clock over the one allowed now. What a Pi's firmware does on its own is not
seen by the kernel: the flags say that it does, not how far it goes, which is from full clock down to 600 MHz.
"""

from __future__ import annotations

from collabd.sensing.machine.cpu import Load
from collabd.sensing.machine.frequency import Frequency
from collabd.sensing.machine.throttling import Throttling
from collabd.sensing.reading import Measured, NotMeasured

# The middle, as a ratio, between not at all and a Pi 4's 1.8 GHz at 600 MHz.
_HELD_BACK = 1.7


def crowding(load: Measured[Load], pressure: Measured[float], threads: int) -> float:
    """Times longer that a run of `threads` takes because others use the cores; 1 where that is not measured."""
    if isinstance(load, NotMeasured):
        return 1.0
    cores = len(load.value.cores)
    others = competing(load.value, pressure)
    too_many = max(threads + others - cores, 0.0)
    return 1.0 + min(too_many / threads, others / cores)


def competing(load: Load, pressure: Measured[float]) -> float:
    """How many tasks of other processes want a core at a time."""
    busy = load.mean * len(load.cores)
    if not load.others or not busy:
        return 0.0
    waiting = float(load.waiting)
    if not isinstance(pressure, NotMeasured):
        # How often there was one, measured all the time, times how many there were, seen at one moment.
        waiting = pressure.value * max(waiting, 1.0)
    running = load.others * len(load.cores)
    # In this order: next to nothing may be busy, and `waiting / busy` beyond all numbers.
    return running + waiting * (running / busy)


def clocking(frequency: Measured[Frequency], throttling: Measured[Throttling]) -> float:
    """Times longer that a run takes because the clock is held back; 1 where that is not measured."""
    known = 1.0
    if not isinstance(frequency, NotMeasured):
        known = max(frequency.value.max_mhz / frequency.value.limit_mhz, 1.0)
    if isinstance(throttling, NotMeasured):
        return known
    held_back = throttling.value.now.frequency_capped or throttling.value.now.throttled
    return max(known, _HELD_BACK) if held_back else known
