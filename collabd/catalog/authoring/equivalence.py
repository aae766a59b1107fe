"""Whether a package's network still answers as the model that it was built from."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.sessions import open_session

_LEAST_AGREEMENT = 0.99
# Two scores are a tie if they differ by less than this part of the range of all scores of the image. Rounding may
# settle it either way.
_TIE = 0.01
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """`agreement`: part of the images with one top-1. `max_error`: largest difference over the range of scores."""

    agreement: float
    max_error: float


def reference_scores(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """The scores, float32 [images, labels], of `model` as given, run image by image."""
    session = open_session(model, onnxruntime.SessionOptions())
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[np.newaxis]})[0] for image in images])


def compare(expected: np.ndarray, found: np.ndarray) -> Comparison:
    """How far two sets of scores, [images, classes], agree; there are two classes at least."""
    ranges = np.ptp(expected, axis=1)
    # An image between two classes has hardly a range of its own.
    span = np.maximum(ranges, max(ranges.mean(), np.finfo(np.float32).tiny))
    rows = np.arange(len(expected))
    behind = expected.max(axis=1) - expected[rows, found.argmax(axis=1)]
    return Comparison(float((behind <= _TIE * span).mean()), float((np.abs(expected - found).max(axis=1) / span).max()))


def require_equal(expected: np.ndarray, found: np.ndarray) -> None:
    """Raise `InvalidPackage` unless the top-1 agrees on 99 % of the images; a tie counts as agreement.

    An image for which the original gives no finite scores tells nothing. If it gives none for any, that is an error.
    """
    finite = np.isfinite(expected).all(axis=1)
    if not finite.any() or not np.isfinite(found[finite]).all():
        raise InvalidPackage("the built network gives scores that are not finite")
    comparison = compare(expected[finite], found[finite])
    _log.info("compared with the original: %s", comparison)
    if comparison.agreement < _LEAST_AGREEMENT:
        raise InvalidPackage(
            f"the built network agrees with the original on {comparison.agreement:.1%} of {len(found)} images "
            f"(scores off by up to {comparison.max_error:.2g} of their range): "
            "float16 may be too coarse for its weights"
        )
