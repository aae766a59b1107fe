"""Names that others choose, as labels of metrics: after so many, all others are counted as one."""

from __future__ import annotations

_MOST = 100
OTHERS = "(others)"


class BoundedNames:
    """The names that are told apart: the first hundred that came."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        """The name itself, or `OTHERS`."""
        if len(self._known) < _MOST:
            self._known.add(name)
        return name if name in self._known else OTHERS
