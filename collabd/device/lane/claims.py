"""What the calls under way still have to run on the lane: for so long the next call will wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class Claim:
    """One call's: it is due then, on the event loop's clock, and `left_s` are yet to be run."""

    due_s: float
    left_s: float

    def ran(self, seconds: float) -> None:
        """So much of it is done."""
        self.left_s = max(self.left_s - seconds, 0.0)


class Claims:
    """The claims of all calls under way, those included that have not come to the lane yet."""

    def __init__(self) -> None:
        self._open: list[Claim] = []

    @contextmanager
    def made(self, due_s: float, seconds: float) -> Iterator[Claim]:
        """Around the work of a call."""
        claim = Claim(due_s, seconds)
        self._open.append(claim)
        try:
            yield claim
        finally:
            self._open.remove(claim)

    def before_s(self, due_s: float) -> float:
        """Seconds of work that has the lane before a call which is due then."""
        return sum(claim.left_s for claim in self._open if claim.due_s <= due_s)
