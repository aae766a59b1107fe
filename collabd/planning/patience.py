"""When the device stops waiting for a companion and runs the tail itself, and when it takes it for lost."""

from __future__ import annotations

# A prediction can be wrong by a constant, which alone is no sign of a breakdown.
_LOST_FLOOR_S = 0.25


def local_start_s(
    *, deadline_s: float | None, local_tail_s: float, predicted_wait_s: float, patience: float, floor_s: float
) -> float:
    """Seconds from now at which the local tail must start; all arguments count from now too.

    With a deadline: as late as still meets it. 80 ms left and a local tail of 30 ms (its high quantile): wait 50 ms.
    When even an immediate start would miss it, the companion is the only hope, and is given the time it is
    predicted to need. Without one: after `patience` times the predicted wait, and not before `floor_s`.
    """
    if deadline_s is None:
        return max(patience * predicted_wait_s, floor_s)
    latest = deadline_s - local_tail_s
    return latest if latest > 0 else max(deadline_s, predicted_wait_s)


def lost_after_s(*, predicted_wait_s: float, patience: float) -> float:
    """Seconds of waiting after which an answer is not late but lost, and counts against the companion.

    It is also how long a call waits for which energy matters: the tail is not to be computed twice for 20 ms.
    """
    return max(2 * patience * predicted_wait_s, _LOST_FLOOR_S)
