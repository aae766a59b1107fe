"""A stream to a network that has an int8 graph and a little network: each answer is that of whom it names."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk import Result
from collab_sdk.vocabulary import Precision, Sureness
from collabd.catalog.authoring.build import build
from collabd.catalog.package.little import Ladder, Little, Threshold
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import GRAPHS, Package, rewritten
from tests.conftest import TINY_LABELS, TINY_SIDE
from tests.int8_twin import with_int8
from tests.integration.device.conftest import Factory
from tests.integration.device.test_inherit import BUDGET, DOOR, EARNED, inherited, noisy
from tests.plain_session import plain_session

CHANNELS = 64


def heavy() -> onnx.ModelProto:
    """Three convolutions of many channels. Its answer depends on how bright the picture is."""
    rng = np.random.default_rng(3)
    names = [f"conv{index}" for index in range(3)]
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
    ]
    weights = [numpy_helper.from_array(np.full((3, 1, 1), 1 / 255, np.float32), "scale")]
    given, inputs = "scaled", 3
    for name in names:
        nodes.append(helper.make_node("Conv", [given, f"{name}.weight"], [name], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
        # Each keeps the brightness of what it gets, roughly.
        shape = (CHANNELS, inputs, 3, 3)
        weights.append(
            numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32) / (9 * inputs), f"{name}.weight")
        )
        given, inputs = f"{name}.relu", CHANNELS
    return _scored(nodes, weights, given, CHANNELS, by=10.0)


def spark() -> onnx.ModelProto:
    """One mean. It is sure of dark pictures, and of grey ones it is not."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
    ]
    weights = [numpy_helper.from_array(np.full((3, 1, 1), 1 / 255, np.float32), "scale")]
    return _scored(nodes, weights, "scaled", 3, by=3.0)


def _scored(
    nodes: list[onnx.NodeProto], weights: list[TensorProto], given: str, channels: int, *, by: float
) -> onnx.ModelProto:
    """Three scores of the mean brightness, 0..1: the first for bright pictures, the second for dark ones."""
    nodes += [
        helper.make_node("GlobalAveragePool", [given], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], transB=1),
    ]
    slope = np.repeat(np.array([[by], [-by], [0.0]], np.float32), channels, axis=1) / channels
    weights += [
        numpy_helper.from_array(slope, "fc.weight"),
        numpy_helper.from_array(np.array([-0.4 * by, 0.4 * by, -1.0], np.float32), "fc.bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "scored",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", TINY_SIDE, TINY_SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        weights,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def built(model: onnx.ModelProto, name: str, images: list[np.ndarray], out: Path) -> Package:
    return build(
        model,
        name=name,
        task=Classify(labels=TINY_LABELS),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=images,
        out=out / name,
    )


@pytest.fixture(scope="module")
def all_kinds(tiny_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Package]:
    """A big network with an int8 graph, and its little one."""
    out = tmp_path_factory.mktemp("kinds")
    little = built(spark(), "spark", tiny_images, out)
    big = with_int8(built(heavy(), "heavy", tiny_images, out), tiny_images, out / "twin")
    # Stated and not measured: what counts here is who answers.
    threshold = Threshold(least=0.75, share=0.9, sure_share=0.9, agreed=198, images=200)
    ladder = Ladder(score=Sureness.MAX, thresholds=(threshold,))
    named = Little(package="spark", digest=little.digest, ladders=(ladder,))
    return rewritten(big, msgspec.structs.replace(big.manifest, little=named), out / "paired"), little


def grey(level: int) -> np.ndarray:
    return np.full((TINY_SIDE, TINY_SIDE, 3), level, np.uint8)


DIM, DARK = grey(70), grey(15)


def scores(package: Package, precision: str, image: np.ndarray) -> np.ndarray:
    """The probabilities, by ONNX Runtime alone."""
    session = plain_session(package.path / GRAPHS[Precision(precision)])
    logits = session.run(None, {session.get_inputs()[0].name: image[np.newaxis]})[0][0]
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum())


async def test_each_answer_is_of_whom_it_names(
    bench: Factory, all_kinds: tuple[Package, Package], tmp_path: Path
) -> None:
    big, little = all_kinds
    shutil.copytree(little.path, tmp_path / "packages" / little.manifest.name)
    async with bench(package=big, cloud=False) as it:
        seeds, answered = count(), list[np.ndarray]()

        async def asked(scene: np.ndarray, times: int, precision: str | None = None) -> list[Result]:
            results = []
            for _ in range(times):
                image = noisy(scene, next(seeds))
                result = await it.client.infer(image, BUDGET, model="heavy", stream=DOOR, precision=precision)
                if result.inherited_age_s is not None:
                    # What the big network has answered last.
                    np.testing.assert_array_equal(result.scores, answered[-1])
                else:
                    by = big if result.answered_by is None else little
                    expected = scores(by, (result.computed_in or "") if by is big else "fp32", image)
                    np.testing.assert_allclose(result.scores, expected, atol=1e-5)
                    if by is big:
                        answered.append(result.scores)
                results.append(result)
            await it.client.status()
            return results

        # The little network is not sure of this scene. So the big one answers, and the stream learns from that.
        learning = await asked(DIM, EARNED + 3)
        assert {result.answered_by for result in learning} == {None}
        assert learning[0].plan.cascade == "serial"
        assert learning[0].measured.little_ms is not None
        assert any(inherited(await asked(DIM, 10)))
        # The little network is sure of another scene. Its answer is not inherited: the next one is exact, and is.
        (sure, exact, *later) = await asked(DARK, 12)
        assert (sure.answered_by, sure.ran, sure.inherited_age_s) == ("spark", "", None)
        assert sure.fidelity is not None
        assert 0.9 <= sure.fidelity < 1
        assert (exact.answered_by, exact.plan.precision, exact.fidelity) == (None, "fp32", 1.0)
        assert any(inherited(later))
        assert {result.answered_by for result in later} == {None}
        # A call that says how it is to be computed is computed.
        assert not any(inherited(await asked(DARK, 5, "int8")))
