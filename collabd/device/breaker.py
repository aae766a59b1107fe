"""A circuit breaker: after a few failures in a row a companion is left alone for a while, then tried again."""

from __future__ import annotations

from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: used. Open: left alone. Half-open: the pause is over; one probe decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts failures in a row. The clock is passed in, in seconds."""

    def __init__(self, *, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failures = 0
        self._opened_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """The state at `now`."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now - self._opened_at >= self._open_s else BreakerState.OPEN

    def succeeded(self) -> None:
        """An exchange went well."""
        self._failures = 0
        self._opened_at = None

    def failed(self, now: float) -> None:
        """An exchange failed; a failed probe opens the breaker anew."""
        self._failures += 1
        if self._failures >= self._limit:
            self._opened_at = now
