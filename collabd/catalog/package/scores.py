"""A network's scores as probabilities and as classes, by the kind that its package states."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind


def as_probabilities(output: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """The scores of one image as the caller gets them, float32 [labels]: softmax of logits, others as they are.

    Of a single logit it is the sigmoid, since the label applies or not, and the softmax of one score is always 1.
    """
    if kind != ScoreKind.LOGITS:
        return output
    against = np.append(output, np.float32(0)) if len(output) == 1 else output
    largest = np.maximum.reduce(against)
    if not math.isfinite(largest):
        # Nothing better can be made of them.
        return np.full_like(output, np.nan)
    shares: npt.NDArray[np.float32] = against - largest
    np.exp(shares, shares)
    shares /= np.add.reduce(shares)
    return shares[: len(output)]


def as_classes(scores: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """The scores of each class, float32 [images, 2 or more]: the largest of a row is what the network decides for.

    A single label becomes two classes, "does not apply" and "applies".
    """
    if scores.shape[1] > 1:
        return scores
    against = np.zeros_like(scores) if kind == ScoreKind.LOGITS else 1 - scores
    return np.concatenate([against, scores], axis=1)


def confidence(classes: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float32]:
    """The probability of each image's top-1, float32 [images], from its scores of each class (`as_classes`)."""
    if kind != ScoreKind.LOGITS:
        return np.asarray(classes.max(axis=1))
    exponents = np.exp(classes - classes.max(axis=1, keepdims=True))
    return np.asarray(1 / exponents.sum(axis=1), np.float32)
