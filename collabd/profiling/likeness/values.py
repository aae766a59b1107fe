"""Networks that give tensors: how far a value may be off, as a part of the range of its tensor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from collabd.profiling.likeness.verdict import Shares, Telling, Verdict
from collabd.tasks.tensors import Outputs


class ValueLikeness:
    """A `Likeness`. The worst value of the worst image counts, since nobody knows what becomes of it."""

    def __init__(self, unsplit: Outputs) -> None:
        self._unsplit = {name: _flat(array) for name, array in unsplit.items()}

    def shares(self, found: Outputs, first: int) -> Shares:
        """What is left of each image's likeness after the largest change of a value."""
        return np.asarray(1 - np.max([*self._changes(found, first)], axis=0))[:, np.newaxis]

    def telling(self, shares: Shares) -> Telling:
        """All images."""
        return np.ones(len(shares), np.bool_)

    def verdict(self, shares: Shares) -> Verdict:
        """The largest change of all."""
        return Verdict(largest_change=float(1 - shares.min()))

    def _changes(self, found: Outputs, first: int) -> Iterator[npt.NDArray[np.float64]]:
        for name, unsplit in self._unsplit.items():
            array = _flat(found[name])
            yield _change(unsplit[first : first + len(array)], array, range_of=unsplit)


def _flat(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.asarray(array, np.float64).reshape(len(array), -1)


def _change(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64], *, range_of: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The largest change of each row, at most 1. What is not finite must stay as it is."""
    usual = np.isfinite(expected)
    same = np.where(usual, True, (expected == found) | (np.isnan(expected) & np.isnan(found))).all(axis=1)
    finite = range_of[np.isfinite(range_of)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    differs = np.where(np.isfinite(found), found, np.inf) - np.where(usual, expected, 0.0)
    off = np.where(usual, np.abs(differs), 0.0).max(axis=1, initial=0.0)
    relative = off / span if span > 0 else np.where(off > 0, 1.0, 0.0)
    return np.where(same, np.minimum(relative, 1.0), 1.0)
