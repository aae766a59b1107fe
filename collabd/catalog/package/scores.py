"""A network's scores, read by what their package says that they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind


def as_probabilities(output: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """Scores of one image, float32 [labels], as the caller gets them: softmax of logits, all others as they are.

    A single logit is that of its label applying or not, so its sigmoid: the softmax of one score is always 1.
    """
    if kind != ScoreKind.LOGITS:
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
    against = np.zeros_like(scores) if kind == ScoreKind.LOGITS else 1 - scores
    return np.concatenate([against, scores], axis=1)
