"""How much counts have grown lately, of counts that begin with the daemon and never fall."""

from __future__ import annotations

from collections import deque


class Growth:
    """Of one or more counts, over the last `over_s` seconds. The time is passed in."""

    def __init__(self, over_s: float) -> None:
        self._over_s = over_s
        # The oldest is the last one that is not younger than the window.
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque()

    def of(self, now: float, *counts: int) -> tuple[int, ...]:
        """How much each of the counts has grown, as far as they were seen before."""
        self._seen.append((now, counts))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._over_s:
            self._seen.popleft()
        return tuple(after - before for before, after in zip(self._seen[0][1], counts, strict=True))
