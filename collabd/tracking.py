"""Long work that goes through pieces, and whoever wants to see how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

_Piece = TypeVar("_Piece")


class Track(Protocol):
    """Gives the pieces in order, and may show how far the work is. `what` says what work, as in "measuring cuts"."""

    def __call__(self, what: str, pieces: Sequence[_Piece], /) -> Iterable[_Piece]:
        """The pieces."""


def untracked(_: str, pieces: Sequence[_Piece], /) -> Iterable[_Piece]:
    """Nobody looks."""
    return pieces
