"""Reads bytes as decisions, so that a fuzzer that mutates bytes also mutates structures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads from the front; when nothing is left, all that follows is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next bytes, at most so many."""
        start, self._at = self._at, min(self._at + count, len(self._data))
        return self._data[start : self._at]

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1, from one byte."""
        return int.from_bytes(self.take(1)) % bound

    def pick(self, options: Sequence[T]) -> T:
        """One of these."""
        return options[self.below(len(options))]

    def number(self, size: int = 8) -> int:
        """A signed number of so many bytes."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))
