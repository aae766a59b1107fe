"""A circuit breaker: after a few failures in a row a companion is left alone for a while, then tried again."""

from __future__ import annotations

from collab_sdk.vocabulary import BreakerState

# Failures further apart are not in a row.
_APART_S = 60.0


class Breaker:
    """Counts failures in a row. The clock is passed in, in seconds.

    The pause does not grow: a companion that is well again is used within one pause and one probe.
    """

    def __init__(self, *, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failures = 0
        self._failed_at = 0.0
        # None: it is closed.
        self.opened_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """The state at `now`."""
        if self.opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now - self.opened_at >= self._open_s else BreakerState.OPEN

    def succeeded(self) -> None:
        """A call was answered. It may have been sent before the breaker opened, and does not close it."""
        if self.opened_at is None:
            self._failures = 0

    def failed(self, now: float) -> None:
        """An exchange failed; a failed probe opens the breaker anew."""
        self._failures = 1 if now - self._failed_at > _APART_S else self._failures + 1
        self._failed_at = now
        if self._failures >= self._limit or self.opened_at is not None:
            self.opened_at = now

    def trip(self, now: float) -> None:
        """Open it: there is no doubt."""
        self._failures, self._failed_at, self.opened_at = self._limit, now, now

    def probed(self, now: float) -> None:
        """The probe went well: close it. Probes are not calls, so the first call that fails opens it again."""
        self._failures, self._failed_at, self.opened_at = self._limit - 1, now, None
