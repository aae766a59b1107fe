"""Whether a package's network still answers as the model that it was built from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.sessions import open_session
from collabd.catalog.graph.probe_feeds import probe_feeds
from collabd.engine import Engine
from collabd.partition import Network
from collabd.profiling.calibrate import one_by_one
from collabd.profiling.likeness.likeness import Likeness
from collabd.profiling.likeness.values import ValueLikeness

_LEAST_AGREEMENT = 0.99
# Of boxes, pixels and values. A box more or less costs much, and rounding may decide about one.
_LEAST_LIKENESS = 0.95
# Two scores are a tie if they differ by less than this part of the range of all scores of the image. Rounding may
# settle it either way.
_TIE = 0.01
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """`agreement`: part of the images with one top-1. `max_error`: largest difference over the range of scores."""

    agreement: float
    max_error: float


def reference_outputs(model: onnx.ModelProto, samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `model` as given makes of each of the samples, one after the other, along a first axis."""
    session = open_session(model, onnxruntime.SessionOptions())
    names = [output.name for output in session.get_outputs()]
    return _stacked([dict(zip(names, session.run(names, dict(sample)), strict=True)) for sample in samples])


def require_same_values(model: onnx.ModelProto, network: Network) -> None:
    """Raise `InvalidPackage` unless `network`, which was built from `model`, gives its values for tensors made by rule.

    Raises `EngineError` if it does not run.
    """
    samples = probe_feeds(network.inputs)
    engine = Engine(threads=1, cache_bytes=0)
    engine.add("", network)
    found = _stacked([engine.run("", sample, network.graph.outputs) for sample in samples])
    require_alike(ValueLikeness(reference_outputs(model, samples)), found)


def _stacked(outputs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([one_by_one(each[name], 1) for each in outputs]) for name in outputs[0]}


def require_alike(likeness: Likeness, found: Mapping[str, np.ndarray]) -> None:
    """Raise `InvalidPackage` unless the answers are nearly those of the original, by the measure of their task."""
    share = float(likeness.shares(found, 0)[:, 0].mean())
    _log.info("compared with the original: %s alike", share)
    if not share >= _LEAST_LIKENESS:
        raise InvalidPackage(
            f"the answers of the built network are those of the original to {share:.1%} only: float16 may be too "
            "coarse for its weights"
        )


def compare(expected: np.ndarray, found: np.ndarray) -> Comparison:
    """How far two sets of scores, [images, classes], agree; there are two classes at least."""
    ranges = np.ptp(expected, axis=1)
    # An image between two classes has hardly a range of its own.
    span = np.maximum(ranges, max(float(ranges.mean()), float(np.finfo(np.float32).tiny)))
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
