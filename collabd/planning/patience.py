"""When the device stops waiting for a companion and runs the tail itself."""

from __future__ import annotations


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
