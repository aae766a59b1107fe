"""What one picture shows of the thresholds of a little network."""

from __future__ import annotations

from collabd.catalog.package.little import Ladder
from collabd.catalog.package.sureness import Opinion
from collabd.device.fidelity.row import Row


def threshold_shares(ladder: Ladder, opinion: Opinion, decided: int) -> dict[Row, float]:
    """By threshold, 1 if the answer would have been that of the big network, which `decided` for this class; else 0.

    `ladder`: of the precision that gave this opinion. Where the little one is not sure enough, the big one answers.
    """
    agrees = float(opinion.decided == decided)
    return {
        Row.of_threshold(ladder.precision, each.least): agrees if opinion.sureness >= each.least else 1.0
        for each in ladder.thresholds
    }
