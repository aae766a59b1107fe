"""What a call takes outside the daemon: the client tells it with the next call, since the daemon cannot see it."""

from __future__ import annotations

# A time that differs by less is told as the last one, so that the requests of like calls are alike.
_SAME = 0.1


class CallerTime:
    """The milliseconds that the last call spent outside the daemon. Any number of threads may share one."""

    def __init__(self) -> None:
        # Whether it had an array, the bytes, the milliseconds, and how they are told. Replaced, and never changed.
        self._last: tuple[bool, int, float, str] | None = None

    def of(self, size: int, *, pixels: bool) -> str | None:
        """How it is told with a call of this size, in bytes; None: the last call was not like it."""
        last = self._last
        if last is None or last[0] is not pixels or not last[1] / 2 <= size <= 2 * last[1]:
            return None
        return last[3]

    def note(self, milliseconds: float, size: int, *, pixels: bool) -> None:
        """A call took so long outside the daemon."""
        last = self._last
        if last is not None and last[0] is pixels and abs(milliseconds - last[2]) <= _SAME * last[2]:
            self._last = pixels, size, last[2], last[3]
        else:
            self._last = pixels, size, milliseconds, f"{milliseconds:.2g}"
