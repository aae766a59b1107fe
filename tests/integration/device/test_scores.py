"""The scores that the caller gets, from the device or a companion: each kind has its own meaning."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from tests.conftest import TINY_LABELS, TINY_SIDE
from tests.integration.device.conftest import Factory
from tests.original import reference_scores


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


KINDS = {
    "logits": (3, [], softmax, "logits"),
    "softmax, then reshaped": (
        3,
        [helper.make_node("Softmax", ["few"], ["p"], axis=1), helper.make_node("Flatten", ["p"], ["out"])],
        softmax,
        "probabilities",
    ),
    "sigmoids": (3, [helper.make_node("Sigmoid", ["few"], ["out"])], sigmoid, "independent"),
    "one sigmoid": (1, [helper.make_node("Sigmoid", ["few"], ["out"])], sigmoid, "independent"),
    "one logit": (1, [], sigmoid, "logits"),
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tiny_package(kind: str, tiny_model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return built(tiny_model, kind, tmp_path_factory.mktemp("packages") / "tiny")


def built(tiny_model: onnx.ModelProto, kind: str, out: Path) -> Package:
    from collabd.catalog.authoring.build import build

    labels, nodes, _, _ = KINDS[kind]
    model = onnx.ModelProto()
    model.CopyFrom(tiny_model)
    model.graph.initializer.append(numpy_helper.from_array(np.arange(labels), "first"))
    model.graph.node.append(helper.make_node("Gather", ["logits", "first"], ["few"], axis=1))
    model.graph.node.extend(nodes)
    model.graph.output[0].name = model.graph.node[-1].output[0]
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = labels
    return build(
        model,
        name="tiny",
        task=Classify(labels=TINY_LABELS[:labels]),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        out=out,
    )


async def test_scores_are_what_the_network_means_wherever_it_runs(
    bench: Factory, kind: str, tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray]
) -> None:
    labels, _, meant, output_kind = KINDS[kind]
    images = tiny_images[:5]
    expected = meant(reference_scores(tiny_model, np.stack(images))[:, :labels])
    async with bench() as it:
        for image, scores in zip(images, expected, strict=True):
            here = await it.client.infer(image, cut="output")
            there = await it.client.infer(image, cut="image", codec="u8", fallback="fail")
            assert (set(here.ran), set(there.ran)) == ({"D"}, {"C"})
            for result in (here, there):
                np.testing.assert_allclose(result.scores, scores, atol=2e-3)
                assert result.score == result.scores.max()
        assert it.package.manifest.output_kind == output_kind
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(it.socket))) as session:
            metadata = await (await session.get("http://d/v2/models/tiny")).json()
        said = "independent" if output_kind == "independent" else "probabilities"
        assert metadata["parameters"]["scores"] == said
