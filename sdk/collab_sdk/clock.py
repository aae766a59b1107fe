"""What tells the clients the time, passed in so that tests need not wait."""

from __future__ import annotations

from typing import Protocol

__all__ = ["WaitingClock"]


class WaitingClock(Protocol):
    """A clock that can also wait. Python's module `time` is one."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float, /) -> None:
        """Return after so many seconds."""
