"""What `make chaos` compares with: right where the daemon is, and by no means content with anything else."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

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


def _answer(scores: Scores, cut: str, codec: str, ran: str) -> Answer:
    return Answer(scores, cut, codec, ran, degraded=False, why="", budget_met=True)


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


def test_scores_of_another_network_are_wrong(reference: Reference, tiny_package: Package) -> None:
    scores = np.full(5, 0.2, np.float32)
    assert (
        reference.error(ORDER, _answer(scores, "output", "none", "D" * len(tiny_package.manifest.layers)))[0] == np.inf
    )


def test_nan_is_wrong(reference: Reference, tiny_package: Package) -> None:
    answer = _answer(np.full(3, np.nan, np.float32), "output", "none", "D" * len(tiny_package.manifest.layers))
    error, tolerance = reference.error(ORDER, answer)
    assert not error <= tolerance
