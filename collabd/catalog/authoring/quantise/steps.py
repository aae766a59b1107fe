"""The steps of 8-bit tensors: of features from the values that were seen, of weights from the weights themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collabd.engine import Engine
from collabd.partition import Network

_KEY = "ranges"
_UNSIGNED = 255
_SIGNED = 127
_LARGEST_BIAS = 2**31 - 1


class Range(NamedTuple):
    """The smallest and the largest value of a tensor that were seen."""

    low: float
    high: float


class Seen(NamedTuple):
    """What was seen of features: the range of each tensor, and the mean of each of its channels.

    The means, float64 [channels], are by the tensor and the axis of its channels.
    """

    ranges: dict[str, Range]
    means: dict[tuple[str, int], npt.NDArray[np.float64]]


class FeatureSteps(NamedTuple):
    """A value is `scale` x (stored - `zero`), stored as uint8."""

    scale: np.float32
    zero: np.uint8


class QuantisedWeight(NamedTuple):
    """`values` int8 of the weight's shape, `scales` float32 [output channels], `bias` int32 [output channels] or None.

    A step of the bias is a step of the weight times one of the features, so that sums need no conversion.
    """

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32] | None


def observed(
    engine: Engine,
    network: Network,
    batches: Sequence[Mapping[str, np.ndarray]],
    *,
    ranges: Collection[str],
    means: Collection[tuple[str, int]],
) -> Seen:
    """Ranges of tensors, and means of their channels along an axis, over all batches of inputs."""
    names = sorted({*ranges, *(name for name, _ in means)})
    seen = dict.fromkeys(ranges, Range(np.inf, -np.inf))
    sums: dict[tuple[str, int], npt.NDArray[np.float64]] = {}
    engine.add(_KEY, network)
    for feeds in batches:
        found = engine.run(_KEY, feeds, names)
        for name in ranges:
            low, high = seen[name]
            seen[name] = Range(min(low, float(found[name].min())), max(high, float(found[name].max())))
        for name, axis in means:
            along = np.moveaxis(found[name], axis, 0)
            mean = along.reshape(len(along), -1).mean(axis=1, dtype=np.float64)
            sums[name, axis] = sums.get((name, axis), np.zeros(1)) + mean * _images(feeds)
    engine.remove(_KEY)
    total = sum(map(_images, batches))
    return Seen(seen, {key: array / total for key, array in sums.items()})


def _images(feeds: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(feeds.values())))


def feature_steps(seen: Range) -> FeatureSteps:
    """Steps over the range, which is widened to hold 0: padding and cut-off values must stay exact."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    scale = np.float32((high - low) / _UNSIGNED) or np.float32(1)
    return FeatureSteps(scale, np.uint8(np.clip(np.rint(-low / scale), 0, _UNSIGNED)))


def quantised_weight(
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None,
    *,
    axis: int,
    feature_scale: np.float32,
    means: npt.NDArray[np.float64],
) -> QuantisedWeight:
    """Round a weight to int8 with steps for each output channel.

    A channel of tiny weights gets coarser ones, if its bias would not fit into int32 else. What rounding adds to a sum
    of features that are as large as their `means` [input channels] is taken off the bias: of EfficientNet-Lite0's
    first labels 95 % stayed instead of 91 %.
    """
    others = tuple(other for other in range(weight.ndim) if other != axis)
    exact = np.abs(weight).max(axis=others).astype(np.float64) / _SIGNED
    if bias is not None:
        exact = np.maximum(exact, np.abs(bias) / (float(feature_scale) * _LARGEST_BIAS))
    scales = np.where(exact > 0, exact, 1.0).astype(np.float32)
    along = scales.reshape([-1 if other == axis else 1 for other in range(weight.ndim)])
    values = np.clip(np.rint(weight / along), -_SIGNED, _SIGNED).astype(np.int8)
    if bias is None:
        return QuantisedWeight(values, scales, None)
    lost = np.moveaxis(weight.astype(np.float64) - values * along.astype(np.float64), axis, 0)
    steps = scales.astype(np.float64) * float(feature_scale)
    stored = np.rint((bias + _added(lost, means)) / steps)
    return QuantisedWeight(values, scales, np.clip(stored, -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32))


def _added(weight: npt.NDArray[np.float64], means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What a weight [output channels, input channels of a group, ...] gives for constant features, away from edges."""
    outputs, inputs = weight.shape[:2]
    groups = len(means) // inputs
    each = weight.reshape(groups, outputs // groups, inputs, -1).sum(axis=3)
    return np.asarray(np.einsum("goi,gi->go", each, means.reshape(groups, inputs))).reshape(-1)
