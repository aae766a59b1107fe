"""What a network's scores are, judged by their values, because the same operator can be written in many ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind

# How far a sum of probabilities may be from 1. A thousand in float16, added in float16, were off by 0.2 %.
_SUM_ERROR = 0.01
# How far probabilities may leave 0 to 1. An 8-bit scale may end a little above 1. It rounds nothing to below 0, since 0
# is always one of its steps.
_ABOVE_ONE = 0.005
_BELOW_ZERO = 1e-6
# Steps between these two come from 8 bits: 1/256, or 1/127 if signed. Finer steps change a sum by less than is allowed.
_STEPS = (2**-10, 2**-6)
# Sigmoids of a trained network come this near to 1 on some image; small logits need not.
_DECIDED = 0.9


@dataclass(frozen=True)
class Judgement:
    """What the scores are, and the evidence in words."""

    kind: ScoreKind
    why: str


def judge(found: npt.NDArray[np.float32]) -> Judgement:
    """Judge scores [images, labels]. What is said holds for each image, so they should be as unlike as possible.

    Images for which the network gives no finite scores tell nothing.
    """
    scores = found[np.isfinite(found).all(axis=1)].astype(np.float64)
    if not len(scores):
        return Judgement(ScoreKind.LOGITS, "none of them is finite")
    low, high = float(scores.min()), float(scores.max())
    if low < -_BELOW_ZERO or high > 1 + _ABOVE_ONE:
        return Judgement(ScoreKind.LOGITS, f"they go from {low:.3g} to {high:.3g}")
    if scores.shape[1] > 1 and _sum_to_one(scores):
        return Judgement(
            ScoreKind.PROBABILITIES, f"they lie within 0 to 1, and sum to 1 for each of {len(scores)} images"
        )
    sums = scores.sum(axis=1)
    what = "it is one value" if scores.shape[1] == 1 else f"they sum to {sums.min():.3g} to {sums.max():.3g}, not to 1"
    return Judgement(
        ScoreKind.INDEPENDENT, f"{what}, within 0 to 1 for each of {len(scores)} images{_doubt(low, high)}"
    )


def _doubt(low: float, high: float) -> str:
    if low == high:
        return f"; it is always {low:.3g}, so it tells no images apart"
    if high < _DECIDED:
        return f"; since none is above {high:.2g}, they may be small logits: if so, give --scores logits"
    return ""


def _sum_to_one(scores: npt.NDArray[np.float64]) -> bool:
    """Whether each row may be one of probabilities, as far as the precision of the scores can tell."""
    half = _step(scores) / 2
    shown = scores > half
    # A score that was rounded to 0 may have been half a step, and each other one is off by at most half a step.
    least = scores.sum(axis=1) - half * shown.sum(axis=1)
    most = scores.sum(axis=1) + half * scores.shape[1]
    return bool(((least <= 1 + _SUM_ERROR) & (most >= 1 - _SUM_ERROR)).all())


def _step(scores: npt.NDArray[np.float64]) -> float:
    """The step of which all scores are multiples, if they were quantised; 0 if they were not, or with fine steps."""
    values = np.unique(np.append(scores, 0.0))
    step = float(np.diff(values).min(initial=np.inf))
    if not _STEPS[0] < step < _STEPS[1]:
        return 0.0
    multiples = values / step
    return step if np.abs(multiples - multiples.round()).max() < _STEPS[0] else 0.0
