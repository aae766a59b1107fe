"""When the device stops waiting for a companion and runs the tail itself, and when it takes it for lost."""

from __future__ import annotations

from collabd.planning.wait import Wait

# An answer is lost after so many times the median, and not before the floor: a prediction can be wrong by a constant.
_LOST_TIMES = 3.0
_LOST_FLOOR_S = 0.25
# A tail whose high quantile is too long may yet be in time: it most likely takes no more than this share of that.
HOPE = 0.8
# Where the moment is looked for: from this share of what is unsure of the wait on, and how finely.
_FIRST_STEP = 0.25
_STEP = 0.15


def local_start_s(*, deadline_s: float | None, local_tail_s: float, wait: Wait, price: float | None) -> float:
    """Seconds from now at which the local tail must start; deadline and wait count from now too.

    Without a deadline: as soon as it is worth its price (`hedge_start_s`), or, where the device's work is not to be had
    for latency (`price` None), when the answer is as good as lost. With one: no later than still meets it. 80 ms left
    and a local tail of 30 ms (its high quantile): wait 50 ms at most. When even an immediate start would miss it, the
    companion is the only hope, and is given the time that it most likely needs; but where the tail may be in time, and
    work is to be had for latency, both start at once.
    """
    start_s = lost_after_s(wait) if price is None else hedge_start_s(wait, local_tail_s, price)
    if deadline_s is None:
        return start_s
    if price is not None and HOPE * local_tail_s <= deadline_s < local_tail_s:
        return 0.0
    latest_s = deadline_s - local_tail_s
    return min(start_s, latest_s if latest_s > 0 else max(deadline_s, wait.median_s))


def hedge_start_s(wait: Wait, local_tail_s: float, price: float) -> float:
    """The first moment at which the device should start the tail, given that no answer has come by then.

    To start a moment earlier wins that moment if the device will be first in the end, and costs that moment of work, at
    `price` seconds of latency for a second of it, if the companion will. So it starts as soon as P(device first) >=
    price * P(companion first): at a price of 0.1, when the chance to be first is 1 in 11. For an answer that nobody
    knows anything about that is at once, on a steady link only when the answer is overdue, and never later than when it
    is as good as lost. (Where most answers are about to come it can be cheaper to let them come first. Not looking
    ahead starts a few tails more, and forgives an estimate that is too sure of itself.)
    """
    chance = price / (1 + price)
    if wait.longer_than(local_tail_s) >= chance:
        return 0.0
    lost_s = lost_after_s(wait)
    start_s = wait.sure_s + _FIRST_STEP * wait.unsure_s
    while start_s < lost_s and wait.longer_than(start_s + local_tail_s) < chance * wait.longer_than(start_s):
        start_s += _STEP * (start_s - wait.sure_s)
    return min(start_s, lost_s)


def lost_after_s(wait: Wait) -> float:
    """Seconds of waiting after which an answer is not late but lost, and counts against the companion.

    It is also how long a call waits for which energy matters: the tail is not to be computed twice for 20 ms.
    """
    return max(_LOST_TIMES * wait.median_s, _LOST_FLOOR_S)
