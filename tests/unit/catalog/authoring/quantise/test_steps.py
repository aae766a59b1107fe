from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.catalog.authoring.quantise.steps import Range, feature_steps, observed, quantised_weight
from collabd.engine import Engine
from collabd.partition import Network
from tests.task_networks import segmenter

BOUND = st.floats(-1e6, 1e6, width=32)


@given(BOUND, BOUND)
def test_features_are_off_by_half_a_step_and_zero_is_exact(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scale, zero = feature_steps(Range(low, high))
    assert scale > 0
    for value in (low, high, 0.0):
        stored = np.clip(np.rint(np.float32(value) / scale) + zero, 0, 255)
        assert abs((stored - zero) * scale - value) <= scale * 0.502 + 1e-30
    assert 0 <= zero <= 255


def rounded(weight: np.ndarray, bias: np.ndarray | None, axis: int, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias as they count after rounding."""
    found = quantised_weight(weight, bias, axis=axis, feature_scale=np.float32(0.01), means=means)
    along = found.scales.reshape([-1 if other == axis else 1 for other in range(weight.ndim)])
    stored = np.zeros(len(found.scales)) if found.bias is None else found.bias * (found.scales * 0.01)
    return found.values * along, stored


@pytest.mark.parametrize(
    ("shape", "axis", "inputs"), [((6, 4, 3, 3), 0, 4), ((6, 2, 3, 3), 0, 4), ((4, 6), 1, 4), ((6, 4), 0, 4)]
)
def test_constant_features_give_the_same_sums_as_before(shape: tuple[int, ...], axis: int, inputs: int) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    means = rng.standard_normal(inputs)
    kept, added = rounded(weight, bias, axis, means)
    assert np.abs(kept - weight).max() <= np.abs(weight).max() / 127 * 0.501
    lost = np.moveaxis(weight - kept, axis, 0).reshape(6, shape[1] if len(shape) == 4 else inputs, -1).sum(axis=2)
    groups = inputs // lost.shape[1]
    gone = [lost[out] @ means.reshape(groups, -1)[out * groups // 6] for out in range(6)]
    assert added == pytest.approx(bias + np.array(gone), abs=0.01 * float(np.abs(weight).max()) / 127)


def test_a_large_bias_of_a_channel_of_tiny_weights_is_kept() -> None:
    weight = np.full((2, 1, 1, 1), 1e-9, np.float32)
    weight[1] = 1
    _, added = rounded(weight, np.array([3.0, 3.0], np.float32), 0, np.zeros(1))
    assert added == pytest.approx([3, 3], rel=1e-3)


def test_without_a_bias_there_is_none() -> None:
    weight = np.zeros((3, 2), np.float32)
    found = quantised_weight(weight, None, axis=1, feature_scale=np.float32(1), means=np.ones(3))
    assert found.bias is None
    assert (found.values == 0).all()
    assert (found.scales > 0).all()


def test_ranges_and_means_are_those_over_all_pictures() -> None:
    network = Network.from_proto(segmenter())
    pixels = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    engine = Engine(threads=1, cache_bytes=1 << 24)
    batches = [{"image": pixels[:3]}, {"image": pixels[3:]}]
    seen = observed(engine, network, batches, ranges={"relu1"}, means={("x", 1)})
    engine.add("net", network)
    (whole,) = engine.run("net", {"image": pixels}, ["relu1"]).values()
    assert seen.ranges == {"relu1": pytest.approx((whole.min(), whole.max()))}
    assert seen.means["x", 1] == pytest.approx(pixels.mean(axis=(0, 1, 2)) * 2 / 255 - 1, rel=1e-4)
