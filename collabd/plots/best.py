"""The best way to use each cut of a profile: of its precisions, codecs and little networks the one that does best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collab_sdk.budget import Budget
from collab_sdk.vocabulary import TAKEN, Objective, Reason

if TYPE_CHECKING:
    from collab_sdk.reports import CodecReport, CutReport, ProfileReport

# From so much of the way on, what is expected is the way.
_LESS = 0.98
FITS = (Reason.WORSE, Reason.NOT_WORTH_A_SWITCH)


@dataclass(frozen=True)
class BestAtCut:
    """A cut, with the precision, the codec and the little network that do best there."""

    cut: CutReport
    codec: str
    best: CodecReport

    @property
    def taken(self) -> bool:
        """Whether the planner would choose it now."""
        return self.best["verdict"] in TAKEN

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it but a better plan."""
        return self.taken or self.best["verdict"] in FITS

    @property
    def way_ms(self) -> float:
        """How long a call takes by the way of this plan, though the device may be done before the companion is."""
        return sum(self.best["phases_ms"].values())

    @property
    def shortened(self) -> bool:
        """Whether less is to be expected: the device is done before the companion, or a little network answers."""
        predicted = self.best["predicted_ms"]
        return predicted is not None and predicted < _LESS * self.way_ms


_GOALS: dict[Objective, Callable[[CodecReport], float | None]] = {
    Objective.LATENCY: lambda codec: codec["predicted_ms"],
    Objective.ENERGY: lambda codec: codec["predicted_energy_mj"],
    Objective.COST: lambda codec: codec["predicted_cost"],
    Objective.THROUGHPUT: lambda codec: codec["predicted_ms"],  # the report says nothing of a stream
}


def best_at_cuts(report: ProfileReport) -> list[BestAtCut]:
    """One for each cut and companion, in the order of the report."""
    goal = _GOALS[Budget.parse(report["budget"]).objective or Objective.LATENCY]
    at_cut: dict[tuple[str, str | None], list[CutReport]] = {}
    for row in report["rows"]:
        at_cut.setdefault((row["cut"], row["cloud"]), []).append(row)
    return [_best(rows, goal) for rows in at_cut.values()]


def _best(cuts: Sequence[CutReport], goal: Callable[[CodecReport], float | None]) -> BestAtCut:
    """What the planner chooses at a cut; else the best that fits the budget; else the best of all.

    `cuts`: the cut in each precision, and with each way to ask a little network.
    """

    def rank(row: BestAtCut) -> tuple[int, float, float]:
        value = goal(row.best)
        tier = 0 if row.taken else 1 if row.fits else 2
        # Where the device is done first, all plans take what it takes: then the one with the fastest companion.
        return tier, math.inf if value is None else float(f"{value:.3g}"), row.way_ms

    return min((BestAtCut(cut, codec, best) for cut in cuts for codec, best in cut["codecs"].items()), key=rank)
