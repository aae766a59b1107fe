"""A circuit breaker: after some failures in a row the device leaves a companion alone for a while, then tries again."""

from __future__ import annotations

from collab_sdk.vocabulary import BreakerState

# Two failures further apart than this do not count as failures in a row.
_APART_S = 60.0


class Breaker:
    """Opens for `open_s` seconds after `failures` failures in a row. Callers pass the time, in seconds.

    The pause does not grow: the device uses a companion that has recovered after at most one pause and one probe.
    """

    def __init__(self, *, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failures = 0
        self._failed_at = 0.0
        # None: the breaker is closed.
        self.opened_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """The state at `now`."""
        if self.opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now - self.opened_at >= self._open_s else BreakerState.OPEN

    def succeeded(self) -> None:
        """A call was answered. This does not close the breaker, since the call may have been sent before it opened."""
        if self.opened_at is None:
            self._failures = 0

    def failed(self, now: float) -> None:
        """An exchange failed. A failed probe starts a new pause."""
        self._failures = 1 if now - self._failed_at > _APART_S else self._failures + 1
        self._failed_at = now
        if self._failures >= self._limit or self.opened_at is not None:
            self.opened_at = now

    def trip(self, now: float) -> None:
        """Open the breaker at once: this one failure proves that the companion is down."""
        self._failures, self._failed_at, self.opened_at = self._limit, now, now

    def probed(self, now: float) -> None:
        """The probe succeeded: close the breaker. A probe is no call, so the first call that fails opens it again."""
        self._failures, self._failed_at, self.opened_at = self._limit - 1, now, None
