from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.manifest import Agreement, CodecFigures, Picture
from collabd.catalog.package.promise import promised
from collabd.codec import IMAGE_CODECS, JPEG_CODECS
from collabd.partition import CutSpec, Network, candidate_cuts, layers
from collabd.profiling.calibrate import Calibration, uncalibrated
from collabd.profiling.likeness.classes import ClassLikeness

SIDE = 8
SEEN = Picture(height=SIDE, width=SIDE)


def network(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], batch: str | int = "batch") -> Network:
    """uint8 [batch, 8, 8, 3] → `x`, float32 [batch, 3, 8, 8] → `nodes` → `logits`, float32 [batch, 3]."""
    front = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["x"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        front + nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return Network.from_proto(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]))


def scaled(gains: list[float], batch: str | int = "batch") -> Network:
    """The mean of each channel, by way of a feature `wide` whose channels are as large as `gains`."""
    gain = np.array(gains, np.float32).reshape(1, 3, 1, 1)
    return network(
        [
            helper.make_node("Mul", ["x", "gain"], ["wide"]),
            helper.make_node("Mul", ["wide", "loss"], ["back"]),
            helper.make_node("GlobalAveragePool", ["back"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Mul", ["flat", "one"], ["logits"]),
        ],
        {"gain": gain, "loss": 1 / gain, "one": np.ones(1, np.float32)},
        batch,
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Forty images with a mean of their own in each channel."""
    rng = np.random.default_rng(3)
    means = rng.integers(40, 215, (40, 1, 1, 3))
    return (means + rng.integers(-40, 41, (40, SIDE, SIDE, 3))).astype(np.uint8)


def at(tensors: tuple[str, ...]) -> CutSpec:
    return CutSpec("cut", 1, tensors)


def agreed(figures: CodecFigures) -> tuple[int, int] | None:
    """How many of how many images agreed; None: the codec is lossless."""
    return None if figures.agreement is None else (figures.agreement.agreed, figures.agreement.images)


def by_codec(calibration: Calibration, spec: CutSpec) -> dict[str, CodecFigures]:
    return {figures.codec: figures for figures in calibration.cut(spec, top1(calibration)).codecs}


def top1(calibration: Calibration) -> ClassLikeness:
    return ClassLikeness(calibration.outputs, "logits", ScoreKind.LOGITS)


def test_the_scores_are_those_of_the_whole_network(images: np.ndarray) -> None:
    calibration = Calibration(scaled([1, 1, 1]), images)
    np.testing.assert_allclose(calibration.outputs["logits"], images.mean(axis=(1, 2)), rtol=1e-5)


def test_every_codec_is_told_once_lossless_ones_as_such(images: np.ndarray) -> None:
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("wide",)))
    assert list(figures) == ["f32", "f16", "q8", "q4"]
    assert (figures["f32"].agreement, figures["f32"].fidelity) == (None, 1.0)
    assert agreed(figures["f16"]) == agreed(figures["q8"]) == (40, 40)
    assert agreed(figures["q4"]) is not None


def test_bytes_are_those_of_one_image(images: np.ndarray) -> None:
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("wide",)))
    values = 3 * SIDE * SIDE
    assert figures["f32"].bytes_p95 <= 4 * values
    assert values // 2 <= figures["q8"].bytes_median <= figures["q8"].bytes_p95 <= values + 64
    assert figures["q4"].bytes_median < figures["q8"].bytes_median


def test_channels_of_different_size_get_their_own_scales(images: np.ndarray) -> None:
    calibration = Calibration(scaled([1, 1000, 1]), images)
    figures = by_codec(calibration, at(("wide",)))
    assert figures["q8"].channel_axis == 1
    assert agreed(figures["q8"]) == (40, 40)


def test_equal_agreement_is_decided_by_bytes(images: np.ndarray) -> None:
    """One scale is 16 bytes less than three, and white noise gives zstd nothing to win in either."""
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("wide",)))
    assert figures["f16"].channel_axis is None
    assert figures["q8"].channel_axis is None


def test_a_vector_has_no_channels(images: np.ndarray) -> None:
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("flat",)))
    assert {each.channel_axis for each in figures.values()} == {None}


def test_a_codec_that_cannot_carry_the_features_is_not_offered(images: np.ndarray) -> None:
    figures = by_codec(Calibration(scaled([1000, 1000, 1000]), images), at(("wide",)))
    assert "f16" not in figures
    assert {"f32", "q8"} <= set(figures)


def test_a_lossy_codec_is_counted_against_the_network_itself() -> None:
    """200 and 201 of a range of 191 are two steps of 255 apart and one of 15, where the first of equals wins."""
    near = np.array([[200, 201, 10], [10, 200, 201]], np.uint8).repeat(10, axis=0)
    images = np.tile(near[:, np.newaxis, np.newaxis], (1, SIDE, SIDE, 1))
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("flat",)))
    assert agreed(figures["q8"]) == (20, 20)
    assert agreed(figures["q4"]) == (0, 20)


def test_where_most_images_are_of_one_class_few_count_and_disagreement_in_proportion() -> None:
    colours = np.array([[10, 250, 100]] * 60 + [[10, 200, 201]] * 20, np.uint8)
    images = np.tile(colours[:, np.newaxis, np.newaxis], (1, SIDE, SIDE, 1))
    figures = by_codec(Calibration(scaled([1, 1, 1]), images), at(("flat",)))
    assert agreed(figures["q8"]) == (50, 50)
    assert agreed(figures["q4"]) == (60 * 50 // 80, 50)


def test_a_fixed_batch_is_run_image_by_image(images: np.ndarray) -> None:
    stacked = Calibration(scaled([1, 50, 1]), images[:7])
    single = Calibration(scaled([1, 50, 1], batch=1), images[:7])
    np.testing.assert_allclose(single.outputs["logits"], stacked.outputs["logits"], rtol=1e-5)
    assert single.cut(at(("wide",)), top1(single)) == stacked.cut(at(("wide",)), top1(stacked))


def test_several_tensors_cross_together(images: np.ndarray) -> None:
    """Behind `wide` both it and the image are alive, since a later node reads the image again."""
    two = network(
        [
            helper.make_node("Mul", ["x", "gain"], ["wide"]),
            helper.make_node("GlobalAveragePool", ["wide"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Cast", ["image"], ["again"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["again", "axes"], ["mean"], keepdims=0),
            helper.make_node("Add", ["flat", "mean"], ["logits"]),
        ],
        {"gain": np.full((1, 3, 1, 1), 0.5, np.float32), "axes": np.array([1, 2])},
    )
    figures = by_codec(Calibration(two, images), at(("wide", "image")))
    assert {agreed(each) for each in figures.values()} == {None, (40, 40)}
    values = 3 * SIDE * SIDE
    assert values < figures["q4"].bytes_median - values // 2 < values + 64
    assert figures["q8"].bytes_median > figures["q4"].bytes_median


def test_the_image_cut_has_the_image_codecs(images: np.ndarray) -> None:
    whole = scaled([1, 1, 1])
    image = next(iter(candidate_cuts(whole, layers(whole))))
    figures = by_codec(Calibration(whole, images), image)
    assert {"u8", "jpeg90"} <= set(figures) <= set(IMAGE_CODECS)
    assert {each.agreement and each.agreement.images for each in figures.values()} == {None, 40}
    assert figures["u8"].bytes_p95 <= 3 * SIDE * SIDE


def test_the_jpegs_of_a_cut_are_each_smaller_or_more_faithful_than_every_other(images: np.ndarray) -> None:
    whole = scaled([1, 1, 1])
    image = next(iter(candidate_cuts(whole, layers(whole))))
    calibration = Calibration(whole, images)
    measured = {each.codec: each for each in calibration.figures(image, top1(calibration)) if each.codec in JPEG_CODECS}
    assert tuple(measured) == JPEG_CODECS
    kept = [each for each in calibration.cut(image, top1(calibration)).codecs if each.codec in JPEG_CODECS]
    front = sorted((each for each in kept if each.codec != "jpeg90"), key=lambda each: each.bytes_median)
    assert all(small.fidelity < large.fidelity for small, large in pairwise(front))
    for left_out in measured.keys() - {each.codec for each in kept}:
        one = measured[left_out]
        assert any(each.bytes_median <= one.bytes_median and each.fidelity >= one.fidelity for each in front)


def test_agreement_is_told_for_the_images_of_which_the_network_is_sure() -> None:
    """The scores are the means of the channels. Three equal ones but for a half are 31, 31 and 38 %: a JPEG is grey."""
    sure, unsure = [[10, 250, 100], [250, 10, 100]] * 10, [[200, 200, 200]] * 10
    images = np.tile(np.array([*sure, *unsure], np.uint8)[:, np.newaxis, np.newaxis], (1, SIDE, SIDE, 1))
    images[20:, ::2, :, 2] += 1
    whole = scaled([1, 1, 1])
    calibration = Calibration(whole, images)
    assert top1(calibration).reference.sure.tolist() == [True] * 20 + [False] * 10
    jpeg = by_codec(calibration, next(iter(candidate_cuts(whole, layers(whole)))))["jpeg90"]
    assert jpeg.agreement == Agreement(agreed=20, images=30, sure_agreed=20, sure_images=20)
    assert (jpeg.fidelity, jpeg.agreement.overall) == (promised(20, 20), promised(20, 30))


def test_where_the_network_is_sure_of_nothing_nothing_is_promised(images: np.ndarray) -> None:
    figures = by_codec(Calibration(scaled([1, 1, 1]), np.zeros_like(images)), at(("wide",)))
    assert figures["q8"].agreement is not None
    assert figures["q8"].agreement.sure_images == 0
    assert figures["q8"].fidelity == 0


def test_without_images_only_the_lossless_are_told() -> None:
    whole = scaled([1, 1, 1])
    cut = uncalibrated(whole, at(("wide",)), SEEN)
    assert cut.codecs == (
        CodecFigures(
            codec="f32",
            channel_axis=None,
            bytes_median=4 * 3 * SIDE * SIDE,
            bytes_p95=4 * 3 * SIDE * SIDE,
        ),
    )
    image = uncalibrated(whole, CutSpec("image", 0, ("image",)), SEEN)
    assert [figures.codec for figures in image.codecs] == ["u8"]
    sent = uncalibrated(whole, CutSpec("inputs", 0, ("image",)), None)
    assert [figures.codec for figures in sent.codecs] == ["f32"]
