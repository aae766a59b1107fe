"""How far a little network may answer in the place of a big one, counted over pictures that both have seen.

The thresholds are quantiles of the little network's sureness, so choosing them looks at no answer. What is counted at a
threshold is counted twice, in either half of the pictures, and the half that promises less is told. So a threshold that
had luck in one half is held to the other: of 100 splits of CIFAR-10's test images, with 2,500 of them counted and 99 %
promised, 4 to 7 came out below that on the other 2,500. With all pictures in one count, 14 did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Sureness
from collabd.catalog.package.little import Threshold
from collabd.profiling.evidence import Reference, worth

# The steps in which the little network's share grows from threshold to threshold.
_STEP = 0.01
# For each of these fidelities of both networks together, the threshold is kept at which the little one answers most.
# They lie close above 99 %, which most calls ask for: the plan for the other pictures often loses a few in a thousand.
_FIDELITIES = (0.999, 0.998, 0.997, 0.996, 0.995, 0.994, 0.993, 0.992, 0.991, 0.99, 0.985, 0.98, 0.97, 0.95, 0.9)
# What the little network answers must mostly be right: a share of one in a hundred would hide any error.
_LEAST_AGREEMENT = 0.8
# Scores are compared by what the little network answers where both together have this fidelity.
_COMPARED_AT = 0.99


def best_score(
    sureness: dict[Sureness, npt.NDArray[np.float64]], decided: npt.NDArray[np.intp], reference: Reference
) -> tuple[Sureness, tuple[Threshold, ...]]:
    """The score with which the little network answers most, and its thresholds.

    Of each picture: `sureness` and what the little network `decided` for; `reference` is of the big one. There may be
    no thresholds: then none keeps a fidelity of 90 %.
    """
    tried = [(score, thresholds(values, decided, reference)) for score, values in sureness.items()]
    return max(tried, key=lambda each: (_answered(each[1], _COMPARED_AT), _answered(each[1], 0.0)))


def thresholds(
    sureness: npt.NDArray[np.float64], decided: npt.NDArray[np.intp], reference: Reference
) -> tuple[Threshold, ...]:
    """A small ladder of thresholds, the strictest first. The big network answers all else without loss."""
    steps = np.arange(_STEP, 1 + _STEP / 2, _STEP)
    found = np.unique(np.quantile(sureness, 1 - steps, method="inverted_cdf"))[::-1]
    counted = [_counted(float(least), sureness, decided=decided, reference=reference) for least in found]
    return tuple(_ladder(counted))


def _ladder(counted: Sequence[Threshold]) -> Iterator[Threshold]:
    kept: Threshold | None = None
    for fidelity in _FIDELITIES:
        held = [each for each in counted if each.agreement >= _LEAST_AGREEMENT and each.total(1.0) >= fidelity]
        widest = max(held, key=lambda each: each.share, default=None)
        if widest is not None and widest is not kept:
            yield widest
            kept = widest


def _counted(
    least: float, sureness: npt.NDArray[np.float64], *, decided: npt.NDArray[np.intp], reference: Reference
) -> Threshold:
    answers = sureness >= least
    same = decided == reference.decided
    # Drawn, since pictures in a row may show one thing, and every other one another.
    drawn = np.random.default_rng(0).permutation(len(answers))
    halves = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    agreed, images = min(
        (_agreed((answers & reference.sure)[half], same[half], reference.decided[half]) for half in halves),
        key=lambda each: Threshold(least=least, share=0, sure_share=0, agreed=each[0], images=each[1]).agreement,
    )
    sure_share = float(answers[reference.sure].mean()) if reference.sure.any() else 0.0
    return Threshold(
        # A little lower than what was seen, so that the same picture is as sure again.
        least=float(np.nextafter(np.float32(least), np.float32(-1))),
        share=float(answers.mean()),
        sure_share=sure_share,
        agreed=agreed,
        images=images,
    )


def _agreed(
    counts: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_], decided: npt.NDArray[np.intp]
) -> tuple[int, int]:
    """How many agree of how many, where pictures of one class count as little as elsewhere (`evidence`)."""
    if not counts.any():
        return 0, 0
    images = worth(decided[counts])
    return int(same[counts].sum()) * images // int(counts.sum()), images


def _answered(found: Sequence[Threshold], fidelity: float) -> float:
    return max((each.share for each in found if each.total(1.0) >= fidelity), default=0.0)
