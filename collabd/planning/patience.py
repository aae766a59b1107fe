"""When the device starts the tail itself while it waits for a companion, and when it takes the answer for lost."""

from __future__ import annotations

from collabd.planning.wait import Wait

# An answer is lost after so many times the median, but not before the floor: a prediction can be wrong by a constant.
_LOST_TIMES = 3.0
_LOST_FLOOR_S = 0.25
# A tail may be in time although its high quantile would be late: it most likely takes this share of the quantile.
HOPE = 0.8
# A call waits in a companion's queue for at most this share of what it gains by asking.
_QUEUES = 0.5
# The search for the moment begins after this share of the unsure part of the wait, and proceeds by steps of this share.
_FIRST_STEP = 0.25
_STEP = 0.15


def local_start_s(*, deadline_s: float | None, local_tail_s: float, wait: Wait, price: float | None) -> float:
    """Seconds from now at which the local tail must start; deadline and wait count from now too.

    Without a deadline the tail starts as soon as it is worth its price (`hedge_start_s`). Where `price` is None, work
    may not be spent on latency, and the tail starts when the answer is as good as lost.
    With a deadline the tail starts early enough to meet it. With 80 ms left and a local tail of 30 ms (its high
    quantile) that is after 50 ms. If even an immediate start would miss the deadline, only the companion can meet it,
    and the device waits as long as the companion most likely needs. But if the tail may be in time after all, and
    work may be spent on latency, it starts at once.
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

    Starting one moment earlier gains this moment if the device will be first in the end. It costs one moment of work,
    which is worth `price` seconds of latency a second, if the companion will be first. So the tail starts as soon as
    P(device first) >= price * P(companion first): at a price of 0.1, when the device is first in 1 of 11 cases. If
    nothing is known of the link, that is at once; on a steady link it is when the answer is overdue. It is never later
    than when the answer is as good as lost.
    (If most answers are about to come, waiting for them first can be cheaper. This rule does not look ahead: it starts
    a few more tails, and does less harm where the estimate is too sure of itself.)
    """
    chance = price / (1 + price)
    if wait.longer_than(local_tail_s) >= chance:
        return 0.0
    lost_s = lost_after_s(wait)
    start_s = wait.sure_s + _FIRST_STEP * wait.unsure_s
    while start_s < lost_s and wait.longer_than(start_s + local_tail_s) < chance * wait.longer_than(start_s):
        start_s += _STEP * (start_s - wait.sure_s)
    return min(start_s, lost_s)


def queue_patience_s(local_s: float, wait: Wait, queue_s: float) -> float:
    """For how long a call may wait in the queue of a companion, beside which this device takes `local_s`.

    `wait` is what is expected, of which `queue_s` is in the queue. If each call waited for as long as it still gains
    something, all of them together would gain nothing: the queue would grow until asking takes as long as the device
    alone. With half of the gain, every call that is answered keeps the other half at least. At 56 ms here and 36 ms
    there that is 10 ms in the queue; at 112 ms here 38 ms, so that the slower devices come first.
    """
    return _QUEUES * max(local_s - (wait.median_s - queue_s), 0.0)


def lost_after_s(wait: Wait) -> float:
    """Seconds of waiting after which an answer is not late but lost, and counts against the companion.

    A call that saves energy waits as long, since gaining 20 ms is no reason to compute the tail twice.
    """
    return max(_LOST_TIMES * wait.median_s, _LOST_FLOOR_S)
