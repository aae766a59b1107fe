"""What is inherited is checked on: when it is no longer what the network would say, it is no longer given."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.build import build
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from collabd.device.journal import FIDELITY_CHANGED
from tests.integration.device.conftest import Factory
from tests.slowed import slowed

SIDE = 16
BUDGET = "90%"
# The network tells brighter pictures from darker ones, and is sure of either.
EDGE, STEEPNESS = 99.5, 20.0


@pytest.fixture(scope="module")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    weights = {
        "slope": np.array([[1.0] * 3, [-1.0] * 3], np.float32) * STEEPNESS / 3,
        "edge": np.array([-1.0, 1.0], np.float32) * STEEPNESS * EDGE,
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["float"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "slope", "edge"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "edge",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return build(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]),
        name="tiny",
        task=Classify(labels=("bright", "dark")),
        picture=Picture(height=SIDE, width=SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=[scene(level) for level in range(0, 256, 8)],
        accuracy={"dataset": "none", "images": 32, "top1": 1.0},
        out=tmp_path_factory.mktemp("packages") / "tiny",
    )


def scene(level: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


async def test_a_scene_at_the_edge_loses_what_it_has_earned(bench: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(cloud=False, **slowed(200)) as it:

        async def ask(level: int) -> bool:
            """Whether the answer was inherited; it is right otherwise."""
            result = await it.client.infer(scene(level), BUDGET, stream="door")
            if result.inherited_age_s is None:
                assert result.label == ("bright" if level > EDGE else "dark")
            return result.inherited_age_s is not None

        await ask(101)
        for _ in range(6):
            await ask(100)
            await ask(101)
        await it.client.status()
        assert sum([await ask(100) for _ in range(10)]) > 5
        # The light flickers about what the network makes a difference at.
        caplog.set_level(logging.INFO)
        flickering = []
        for level in [99, 100] * 40:
            flickering.append(await ask(level))
            await it.client.status()
        assert not any(flickering[20:])
        reported = [record for record in caplog.records if FIDELITY_CHANGED in str(vars(record))]
        assert [record.getMessage() for record in reported if "no longer serves" in record.getMessage()]
