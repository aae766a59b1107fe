"""How long runs took lately, and so how many rows together pay.

To run rows together saves what a run costs once: it reads the weights, and begins each layer. For some networks that
is a fifth of the time of a row, for others nothing, and then rows that run together only wait for one another: the
first has its answer when the last has. So no run holds more rows than pay.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Hashable, Mapping

# To run half as many rows must cost more than this for each, or half as many run.
_PAYS = 1.03
# So many runs of a size tell what it costs: the quickest, since other work of the machine only makes runs longer.
_SURE = 4
# After so many runs all is measured anew: what else the machine does may have changed.
_ANEW = 1024
# Of so many kinds of runs it is remembered; one is a part of a network on so many cores.
_KINDS = 256


class RunTimes:
    """Of runs of each kind: for each number of rows, rounded down to a power of two, the seconds that a row took."""

    def __init__(self) -> None:
        # The kind that ran last stands last.
        self._kinds: OrderedDict[Hashable, _RunsOfKind] = OrderedDict()

    def ran(self, kind: Hashable, rows: int, seconds: float) -> None:
        """Note a run."""
        known = self._kinds.setdefault(kind, _RunsOfKind())
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        known.ran(rows, seconds)

    def most_rows(self, kind: Hashable, most: int, *, at_first: int) -> int:
        """How many rows the next run of this kind should hold, up to `most`; up to `at_first` before more of them paid.

        The memory of a run grows with its rows, and the runtime keeps it.
        """
        at_first = min(at_first, most)
        return at_first if kind not in self._kinds else _most(self._kinds[kind].costs, most, at_first)

    def row_s(self, kind: Hashable) -> float | None:
        """The seconds of a run of one row; None: not measured."""
        return None if kind not in self._kinds else self._kinds[kind].costs.get(1)


class _RunsOfKind:
    def __init__(self) -> None:
        # The seconds for a row, by the size of the run, where they are sure.
        self.costs: dict[int, float] = {}
        self._taken: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=_SURE))
        self._runs = 0

    def ran(self, rows: int, seconds: float) -> None:
        self._runs += 1
        if self._runs % _ANEW == 0:
            self._taken.clear()
            self.costs.clear()
        size = _size(rows)
        taken = self._taken[size]
        taken.append(seconds / rows)
        if len(taken) == _SURE:
            self.costs[size] = min(taken)


def _most(costs: Mapping[int, float], most: int, at_first: int) -> int:
    """The least size for which half of it costs more. A half that is not known yet is tried."""
    size = largest = max((size for size in costs if size <= most), default=0)
    while size > 1:
        half = size // 2
        if half not in costs:
            return half
        if costs[half] > costs[size] * _PAYS:
            break
        size = half
    # Nobody knows of larger runs yet, and what came of the smaller ones speaks for them.
    return min(most, max(at_first, 2 * size)) if size == largest else size


def _size(rows: int) -> int:
    return 1 << (rows.bit_length() - 1)
