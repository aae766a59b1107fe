"""What a network's scores are, judged by their values: operators come in too many disguises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collabd.catalog.manifest import ScoreKind

# A thousand float16 probabilities, added in float16, were off by 0.2 %.
_SUM_ERROR = 0.01
# An 8-bit scale may end a little above 1; below 0 nothing is rounded, since 0 is always one of its steps.
_ABOVE_ONE = 0.005
_BELOW_ZERO = 1e-6
# Steps of 8 bits are 1/256, or 1/127 signed. Finer ones change no sum by more than is allowed anyway.
_STEPS = (2**-10, 2**-6)
# Sigmoids of a trained network come near 0 or 1 on some of the images; small logits need not.
_DECIDED = 0.9


@dataclass(frozen=True)
class Judgement:
    """What the scores are, and the evidence in words."""

    kind: ScoreKind
    why: str


def judge(found: npt.NDArray[np.float32]) -> Judgement:
    """Judge scores [images, labels] of images as unlike as there are: what is said must hold for each of them.

    Images of which the network makes no finite scores tell nothing.
    """
    scores = found[np.isfinite(found).all(axis=1)].astype(np.float64)
    if not len(scores):
        return Judgement("logits", "none of them is finite")
    low, high = float(scores.min()), float(scores.max())
    if low < -_BELOW_ZERO or high > 1 + _ABOVE_ONE:
        return Judgement("logits", f"they go from {low:.3g} to {high:.3g}")
    if scores.shape[1] > 1 and _sum_to_one(scores):
        return Judgement("probabilities", f"they lie within 0 to 1, and sum to 1 for each of {len(scores)} images")
    sums = scores.sum(axis=1)
    what = "it is one value" if scores.shape[1] == 1 else f"they sum to {sums.min():.3g} to {sums.max():.3g}, not to 1"
    return Judgement("independent", f"{what}, within 0 to 1 for each of {len(scores)} images{_doubt(low, high)}")


def _doubt(low: float, high: float) -> str:
    if low == high:
        return f"; it is always {low:.3g}, so it tells no images apart"
    if high < _DECIDED:
        return f"; since none is above {high:.2g}, they may be small logits: if so, give --scores logits"
    return ""


def as_probabilities(output: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """Scores of one image, float32 [labels], as the caller gets them: softmax of logits, all others as they are.

    A single logit is that of its label applying or not, so its sigmoid: the softmax of one score is always 1.
    """
    if kind != "logits":
        return output
    against = np.append(output, np.float32(0)) if len(output) == 1 else output
    # Scores that are not finite are the network's own affair, and become NaN.
    with np.errstate(invalid="ignore"):
        exponents = np.exp(against - against.max())
    return np.asarray((exponents / exponents.sum())[: len(output)], np.float32)


def as_classes(scores: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """Scores [images, labels] such that the largest of a row is what it decides for, float32 [images, 2 or more].

    A single label becomes two classes, "does not apply" and "applies".
    """
    if scores.shape[1] > 1:
        return scores
    against = np.zeros_like(scores) if kind == "logits" else 1 - scores
    return np.concatenate([against, scores], axis=1)


def _sum_to_one(scores: npt.NDArray[np.float64]) -> bool:
    """Whether each row can be one of probabilities, as far as the arithmetic is fine enough to tell."""
    half = _step(scores) / 2
    shown = scores > half
    # What was rounded away may be half a step each; what is left is at most half a step off.
    least = scores.sum(axis=1) - half * shown.sum(axis=1)
    most = scores.sum(axis=1) + half * scores.shape[1]
    return bool(((least <= 1 + _SUM_ERROR) & (most >= 1 - _SUM_ERROR)).all())


def _step(scores: npt.NDArray[np.float64]) -> float:
    """The step of scores that were quantised, and so are multiples of it; 0 if they were not, or finely."""
    values = np.unique(np.append(scores, 0.0))
    step = float(np.diff(values).min(initial=np.inf))
    if not _STEPS[0] < step < _STEPS[1]:
        return 0.0
    multiples = values / step
    return step if np.abs(multiples - multiples.round()).max() < _STEPS[0] else 0.0
