"""What a call takes beside its parts: to be read, planned, passed from thread to thread, and its answer wrapped up."""

from __future__ import annotations

# Until a call has shown it: a millisecond or two on any machine.
_FIRST_S = 1e-3
_STEP = 0.1
# Calls that were held up by something else say little of the next.
_MOST = 2.0


class Overhead:
    """A mean that follows slowly, and calls that took far longer hardly at all."""

    def __init__(self) -> None:
        self.seconds = _FIRST_S

    def learn(self, seconds: float) -> None:
        """Take in one call."""
        self.seconds += _STEP * (min(max(seconds, 0.0), _MOST * self.seconds) - self.seconds)
        # Never nothing, else it could not grow again.
        self.seconds = max(self.seconds, 1e-5)
