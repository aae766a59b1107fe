"""How far a companion's clock is from this machine's, by the dates of its replies."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def clock_off_s(date: str | None, now: float) -> float | None:
    """By how many seconds the clock that wrote this date is ahead of ours, which shows `now` (seconds since 1970).

    Dates have whole seconds, and took a while to arrive. None: there is no date.
    """
    try:
        return parsedate_to_datetime(date or "").timestamp() - now
    except (ValueError, OverflowError):
        return None
