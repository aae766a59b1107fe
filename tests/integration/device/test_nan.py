"""A network that gives NaN for some images: the network is at fault, so the device does not blame the companion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from tests.conftest import TINY_LABELS, TINY_SIDE
from tests.integration.device.conftest import Factory

DARK = 5


# A name as some graph may have it, and not as anybody should be shown it.
ROOT = "\x1b[2Jroot"


@pytest.fixture(scope="module")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return rooted(DARK, tmp_path_factory.mktemp("packages") / "tiny")


def rooted(dark: int, out: Path) -> Package:
    """One with the root of what is negative where a quarter of the image is darker than `dark`."""
    from collabd.catalog.authoring.build import build

    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["float"], ["pool"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Sub", ["pool", "dark"], ["less"]),
        helper.make_node("Sqrt", ["less"], [ROOT]),
        helper.make_node("AveragePool", [ROOT], ["small"], kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight"], ["logits"], transB=1),
    ]
    weights = [
        numpy_helper.from_array(np.array(dark, np.float32), "dark"),
        numpy_helper.from_array(rng.standard_normal((3, 3)).astype(np.float32), "fc.weight"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", TINY_SIDE, TINY_SIDE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "rooted", [image], [logits], weights)
    model: onnx.ModelProto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    images = list(rng.integers(dark, 256, (60, TINY_SIDE, TINY_SIDE, 3), dtype=np.uint8))
    return build(
        model,
        name=out.name,
        task=Classify(labels=TINY_LABELS),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=images,
        out=out,
    )


async def test_nan_in_the_features_stays_here(bench: Factory) -> None:
    async with bench() as it:
        dark, light = np.zeros((TINY_SIDE, TINY_SIDE, 3), np.uint8), np.full((TINY_SIDE, TINY_SIDE, 3), 99, np.uint8)
        for _ in range(3):
            result = await it.client.infer(dark, cut="root", codec="f32")
            assert np.isnan(result.scores).all()
            assert result.why == "the features cannot be sent: root holds NaN"
            assert result.bytes_up == 0
        # Which says nothing against the companion.
        assert not (await it.client.infer(light, cut="root", codec="f32")).degraded
