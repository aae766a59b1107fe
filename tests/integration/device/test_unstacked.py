"""A network that may be batched, asked to cross where features have several entries an image: they are not joined."""

from __future__ import annotations

import asyncio

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from tests.conftest import TINY_LABELS, TINY_SIDE
from tests.integration.device.conftest import Factory


@pytest.fixture(scope="module")
def tiny_package(tiny_model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The tiny network with two windows an image behind its second convolution, as a Swin has them."""
    from collabd.catalog.authoring.build import build

    model = onnx.ModelProto()
    model.CopyFrom(tiny_model)
    nodes = list(model.graph.node)
    place = next(index for index, node in enumerate(nodes) if node.output[0] == "relu2")
    nodes[place].output[0] = "whole"
    windows = [
        helper.make_node("Reshape", ["whole", "halves"], ["split"]),
        helper.make_node("Tanh", ["split"], ["windows"]),
        helper.make_node("Reshape", ["windows", "images"], ["relu2"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[: place + 1], *windows, *nodes[place + 1 :]])
    for name, shape in {"halves": [-1, 8, 8, 8], "images": [-1, 16, 8, 8]}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape), name))
    return build(
        model,
        name="tiny",
        task=Classify(labels=TINY_LABELS),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        out=tmp_path_factory.mktemp("packages") / "tiny",
    )


async def test_every_layer_is_a_cut_for_many_at_once(bench: Factory) -> None:
    async with bench() as it:
        manifest, network = it.package.manifest, it.package.network()
        assert manifest.dynamic_batch
        names = [layer.name for layer in manifest.layers[:-1]]
        assert "windows" in names
        assert not network.tensor("windows").stacks
        calls = [(name, image) for name in names for image in it.images[:6]]
        results = await asyncio.gather(*(it.client.infer(image, cut=name, fallback="fail") for name, image in calls))
        for (name, image), result in zip(calls, results, strict=True):
            np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5, err_msg=name)
            assert "C" in result.ran
