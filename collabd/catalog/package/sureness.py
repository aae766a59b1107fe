"""How sure a classifier is of an answer, as one number: the higher, the surer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import ScoreKind, Sureness
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.scores import as_classes


def sureness(scores: npt.NDArray[np.float32], kind: ScoreKind, measure: Sureness) -> npt.NDArray[np.float64]:
    """Of each image, 0..1, from a network's output, float32 [images, labels]; NaN if the scores hold one.

    `margin`: the probability of the top-1 less that of the next. `max`: the probability of the top-1. `entropy`: 1 less
    the entropy, as a part of the most that so many classes can have.
    """
    shares = _probabilities(as_classes(scores, kind), kind)
    if measure is Sureness.ENTROPY:
        logs = np.log(np.where(shares == 0, 1.0, shares))
        return np.asarray(1 + (shares * logs).sum(axis=1) / math.log(shares.shape[1]))
    next_best, best = np.partition(shares, -2, axis=1)[:, -2:].T
    return np.asarray(best - next_best if measure is Sureness.MARGIN else best)


class Opinion(NamedTuple):
    """What a little network says of a picture: the class that it decides for, and how sure it is."""

    decided: int
    sureness: float


def opinion(manifest: Manifest, outputs: Mapping[str, npt.NDArray[np.generic]], measure: Sureness) -> Opinion:
    """That of a classifier, from its outputs for one picture."""
    kind = manifest.output_kind
    assert kind is not None  # noqa: S101 (no other network is paired)
    scores = np.asarray(outputs[manifest.output_names[0]], np.float32)
    return Opinion(int(as_classes(scores, kind)[0].argmax()), float(sureness(scores, kind, measure)[0]))


def _probabilities(classes: npt.NDArray[np.float32], kind: ScoreKind) -> npt.NDArray[np.float64]:
    wide = classes.astype(np.float64)
    if kind is not ScoreKind.LOGITS:
        return wide
    exponents = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
