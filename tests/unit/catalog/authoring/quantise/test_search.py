"""The layers that hurt are found, and only those stay in fp32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.authoring.quantise.rewrite import with_integers
from collabd.catalog.authoring.quantise.scheme import IntegerLayer, integer_layers, rounded
from collabd.catalog.authoring.quantise.search import Choice, Pictures, Search
from collabd.catalog.authoring.quantise.steps import observed
from collabd.engine import Engine
from collabd.partition import Network
from collabd.profiling.calibrate import Calibration
from collabd.profiling.likeness.classes import ClassLikeness

SIDE = 8
WIDTH = 8
# So much larger is the weight of a feature that is always 0: what is left of the others is rounded to nothing.
_BLINDING = 1000


def chain(*, hurt: Sequence[int]) -> onnx.ModelProto:
    """Four convolutions, every other one of much work, and a linear layer.

    Those numbered in `hurt` have weights that 8 bits cannot hold.
    """
    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "grey"], ["signed"]),
        helper.make_node("Mul", ["signed", "scale"], ["x"]),
    ]
    weights: dict[str, np.ndarray] = {"grey": np.array(128, np.float32), "scale": np.array(1 / 64, np.float32)}
    source, inputs = "x", 3
    for number in range(4):
        side = 1 if number % 2 else 3
        weight = rng.standard_normal((WIDTH, inputs, side, side)) * np.sqrt(2 / (inputs * side**2))
        weight[0] = 0  # nothing ever shows in the first channel
        if number in hurt:
            weight[1:, 0] = _BLINDING
        weights |= {f"w{number}": weight.astype(np.float32), f"b{number}": np.zeros(WIDTH, np.float32)}
        nodes.append(
            helper.make_node("Conv", [source, f"w{number}", f"b{number}"], [f"conv{number}"], pads=[side // 2] * 4)
        )
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"]))
        source, inputs = f"relu{number}", WIDTH
    nodes += [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "wide", "level"], ["logits"], transB=1),
    ]
    weights |= {"wide": (8 * rng.standard_normal((5, WIDTH))).astype(np.float32), "level": np.zeros(5, np.float32)}
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    # So that each class is the answer for some pictures.
    level = -Calibration(Network.from_proto(model), coloured(64)).outputs["logits"].mean(axis=0)
    model.graph.initializer[-1].CopyFrom(numpy_helper.from_array(level, "level"))
    return model


def coloured(count: int) -> np.ndarray:
    """Pictures of one of eight colours and noise, uint8 [count, side, side, 3]: no answer hangs in the balance."""
    rng = np.random.default_rng(5)
    colours = rng.integers(30, 225, (8, 1, 1, 3))
    return (colours[rng.integers(0, 8, count)] + rng.integers(-30, 31, (count, SIDE, SIDE, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return coloured(96)


def search(model: onnx.ModelProto, pixels: np.ndarray) -> tuple[Choice, tuple[IntegerLayer, ...], list[str]]:
    """What was chosen, of which layers, and what was told."""
    network = Network.from_proto(model)
    layers = integer_layers(network)
    calibration = Calibration(network, pixels)
    engine = Engine(threads=1, cache_bytes=1 << 26)
    batches = [{"image": pixels[start : start + 16]} for start in range(0, len(pixels), 16)]
    means = {(layer.reads, layer.channels) for layer in layers}
    seen = observed(engine, network, batches, ranges={*rounded(network, layers).values()}, means=means)
    pictures = Pictures(batches=batches, likeness=ClassLikeness(calibration.outputs, "logits", ScoreKind.LOGITS))
    told: list[str] = []

    def rewritten(chosen: Sequence[IntegerLayer]) -> onnx.ModelProto:
        return with_integers(model, network, layers=chosen, seen=seen)

    found = Search(engine, network, pictures=pictures, rewrite=rewritten, tell=told.append).choose(layers)
    return found, layers, told


def test_where_int8_does_no_harm_nothing_is_tried(pixels: np.ndarray) -> None:
    choice, layers, told = search(chain(hurt=[]), pixels)
    assert choice.layers == layers
    assert choice.share >= 0.99
    assert len(told) == 1


@pytest.mark.parametrize("hurt", [[1], [3], [1, 3]])
def test_the_layers_that_hurt_stay_in_fp32(hurt: list[int], pixels: np.ndarray) -> None:
    choice, layers, told = search(chain(hurt=hurt), pixels)
    assert {layer.name for layer in layers} - {layer.name for layer in choice.layers} == {f"conv{n}" for n in hurt}
    assert choice.share >= 0.99
    assert "trying 5 layers one by one" in " ".join(told)


def test_half_of_the_work_stays_with_integers(pixels: np.ndarray) -> None:
    choice, layers, _ = search(chain(hurt=[1, 2, 3]), pixels)
    assert 2 * sum(layer.macs for layer in choice.layers) >= sum(layer.macs for layer in layers)
    assert choice.share < 0.99
