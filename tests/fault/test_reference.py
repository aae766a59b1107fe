"""What `make chaos` compares with: right where the daemon is, and by no means content with anything else."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package
from collabd.codec import decode, encode
from collabd.engine import Engine
from tests.chaos.clients import Answer
from tests.chaos.orders import Order
from tests.chaos.reference import Reference

Scores = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture(scope="module")
def images(tiny_images: list[np.ndarray]) -> dict[str, bytes]:
    found = {}
    for number, image in enumerate(tiny_images[:2]):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        found[str(number)] = file.getvalue()
    return found


@pytest.fixture(scope="module")
def reference(tiny_package: Package, images: dict[str, bytes]) -> Reference:
    return Reference({"tiny": tiny_package}, images)


@pytest.fixture(scope="module")
def engine(tiny_package: Package) -> Engine:
    engine = Engine(threads=1, cache_bytes=2**28)
    engine.add("tiny", tiny_package.network())
    return engine


ORDER = Order("tiny", "0", "file", 0.0)


def _answer(scores: Scores, cut: str, codec: str, ran: str, precision: str = "fp32") -> Answer:
    return Answer(scores, cut, codec, precision, ran, ran, degraded=False, why="", budget_met=True)


def _probabilities(logits: Scores) -> Scores:
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum(), np.float32)


def test_the_whole_network_is_right_wherever_it_ran(
    reference: Reference, engine: Engine, tiny_images: list[np.ndarray], tiny_package: Package
) -> None:
    scores = _probabilities(engine.run("tiny", {"image": tiny_images[0][np.newaxis]}, ["logits"])["logits"][0])
    layers = len(tiny_package.manifest.layers)
    for codec, ran in (("none", "D" * layers), ("q8", "D" * layers), ("u8", "C" * layers), ("source", "C" * layers)):
        error, tolerance = reference.error(ORDER, _answer(scores, "image", codec, ran))
        assert error <= tolerance == 1e-4


def test_what_a_little_network_answered_is_compared_with_that(
    reference: Reference, engine: Engine, tiny_images: list[np.ndarray]
) -> None:
    scores = _probabilities(engine.run("tiny", {"image": tiny_images[0][np.newaxis]}, ["logits"])["logits"][0])
    answer = replace(_answer(scores, "image", "q4", ""), answered_by="tiny")
    error, tolerance = reference.error(replace(ORDER, model="big"), answer)
    assert error <= tolerance == 1e-4
    assert reference.error(replace(ORDER, image="1"), answer)[0] > tolerance


def test_a_little_network_is_compared_in_the_precision_in_which_it_was_asked(
    int8_package: Package, images: dict[str, bytes], tiny_images: list[np.ndarray]
) -> None:
    reference, engine = Reference({"tiny": int8_package}, images), Engine(threads=1, cache_bytes=2**28)
    engine.add("int8", int8_package.networks()[Precision.INT8])
    scores = _probabilities(engine.run("int8", {"image": tiny_images[0][np.newaxis]}, ["logits"])["logits"][0])
    answer = replace(_answer(scores, "output", "none", ""), answered_by="tiny", little_precision="int8")
    order = replace(ORDER, model="big")
    error, tolerance = reference.error(order, answer)
    assert error < 1e-3 < tolerance
    in_fp32, tolerance = reference.error(order, replace(answer, little_precision="fp32"))
    assert in_fp32 > tolerance == 1e-4


def test_agreement_is_with_the_unsplit_fp32_network_whoever_answered(
    reference: Reference, engine: Engine, tiny_images: list[np.ndarray]
) -> None:
    scores = _probabilities(engine.run("tiny", {"image": tiny_images[0][np.newaxis]}, ["logits"])["logits"][0])
    answer = replace(_answer(scores, "output", "none", ""), answered_by="other", little_precision="int8")
    assert reference.agrees(ORDER, answer)
    assert not reference.agrees(ORDER, replace(answer, scores=np.roll(scores, 1)))
    assert reference.is_sure(ORDER) == (scores.max() >= 0.5)


@pytest.mark.parametrize("codec", ["f16", "q8", "q4"])
def test_a_lossy_split_is_compared_with_the_same_split(
    reference: Reference, engine: Engine, tiny_images: list[np.ndarray], tiny_package: Package, codec: str
) -> None:
    manifest = tiny_package.manifest
    cut = next(cut for cut in manifest.cuts if 0 < cut.head_layers < len(manifest.layers))
    ran = "D" * cut.head_layers + "C" * (len(manifest.layers) - cut.head_layers)
    features = engine.run("tiny", {"image": tiny_images[0][np.newaxis]}, cut.tensors)
    axis = next(figures.channel_axis for figures in cut.codecs if figures.codec == codec)
    for name, array in features.items():
        encoded = encode(array, codec, axis)
        features[name] = decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)
    scores = _probabilities(engine.run("tiny", features, ["logits"])["logits"][0])
    answer = _answer(scores, cut.name, codec, ran)
    error, tolerance = reference.error(ORDER, answer)
    assert error <= tolerance == 1e-3
    if codec == "q4":
        # What a codec loses is no excuse where nothing was encoded, nor for another image.
        assert reference.error(ORDER, replace(answer, ran="D" * len(ran)))[0] > 1e-4
        assert reference.error(replace(ORDER, image="1"), answer)[0] > 1e-3


@pytest.mark.parametrize(("head", "tail"), [("fp32", "int8"), ("int8", "fp32"), ("int8", "int8")])
@pytest.mark.parametrize("codec", ["f32", "q8"])
def test_a_plan_with_int8_is_compared_with_its_own_head_and_tail(
    int8_package: Package, images: dict[str, bytes], tiny_images: list[np.ndarray], head: str, tail: str, codec: str
) -> None:
    reference, engine = Reference({"tiny": int8_package}, images), Engine(threads=1, cache_bytes=2**28)
    for precision, network in int8_package.networks().items():
        engine.add(precision, network)
    cut = int8_package.manifest.cuts[2]
    ran = "D" * cut.head_layers + "C" * (len(int8_package.manifest.layers) - cut.head_layers)
    features = engine.run(head, {"image": tiny_images[0][np.newaxis]}, cut.tensors)
    for name, array in features.items():
        encoded = encode(array, codec)
        features[name] = decode(encoded.payload, encoded.parameters, dtype=array.dtype, shape=array.shape)
    scores = _probabilities(engine.run(tail, features, ["logits"])["logits"][0])
    answer = _answer(scores, cut.name, codec, ran, head if head == tail else f"{head}/{tail}")
    error, tolerance = reference.error(ORDER, answer)
    assert error < 1e-3 < tolerance
    if codec == "f32":
        # The device may have finished it.
        assert reference.error(ORDER, replace(answer, ran="D" * len(ran)))[0] < 1e-5
    assert reference.error(ORDER, replace(answer, precision="fp32"))[0] > 1e-3
    assert reference.error(replace(ORDER, image="1"), answer)[0] > tolerance


def test_scores_of_another_network_are_wrong(reference: Reference, tiny_package: Package) -> None:
    scores = np.full(5, 0.2, np.float32)
    assert (
        reference.error(ORDER, _answer(scores, "output", "none", "D" * len(tiny_package.manifest.layers)))[0] == np.inf
    )


def test_nan_is_wrong(reference: Reference, tiny_package: Package) -> None:
    answer = _answer(np.full(3, np.nan, np.float32), "output", "none", "D" * len(tiny_package.manifest.layers))
    error, tolerance = reference.error(ORDER, answer)
    assert not error <= tolerance
