"""The int8 graph computes with integers, and fits the fp32 graph at every cut."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from collabd.catalog.authoring.optimise import fix_batch, optimise
from collabd.catalog.authoring.quantise.rewrite import with_integers
from collabd.catalog.authoring.quantise.scheme import IntegerLayer, integer_layers, rounded
from collabd.catalog.authoring.quantise.steps import observed
from collabd.catalog.graph.batching import crossing, hindrance
from collabd.catalog.graph.probe_images import probe_images
from collabd.engine import Engine
from collabd.partition import Network, candidate_cuts, layers
from tests.patience import PROGRAM_S
from tests.task_networks import detector, segmenter

NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {"detect": detector, "segment": segmenter}


@pytest.fixture(params=["tiny", *NETWORKS])
def model(request: pytest.FixtureRequest, tiny_model: onnx.ModelProto) -> onnx.ModelProto:
    return optimise(NETWORKS[request.param]() if request.param in NETWORKS else tiny_model)


def quantised(model: onnx.ModelProto, chosen: slice = slice(None)) -> onnx.ModelProto:
    network = Network.from_proto(model)
    found = integer_layers(network)[chosen]
    means = {(layer.reads, layer.channels) for layer in found}
    batches = [{"image": picture[np.newaxis]} for picture in pictures(network)]
    engine = Engine(threads=1, cache_bytes=1 << 26)
    seen = observed(engine, network, batches, ranges={*rounded(network, found).values()}, means=means)
    return with_integers(model, network, layers=found, seen=seen)


def pictures(network: Network) -> np.ndarray:
    (image,) = network.inputs
    return probe_images(image.shape[1] or 0, image.shape[2] or 0)


def kernels(model: onnx.ModelProto, scratch: Path) -> Counter[str]:
    """The operators that ONNX Runtime makes of a graph."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def test_every_layer_computes_with_integers(model: onnx.ModelProto, tmp_path: Path) -> None:
    found = Counter(node.op_type for node in model.graph.node)
    made = kernels(quantised(model), tmp_path)
    # What gives an output of the network gives floats.
    assert made["QLinearConv"] == found["Conv"]
    assert made["QGemm"] == found["Gemm"]
    assert not {"Conv", "Gemm", "FusedConv", "MaxPool"} & made.keys()


def test_what_stays_in_fp32_computes_with_floats(tiny_model: onnx.ModelProto, tmp_path: Path) -> None:
    made = kernels(quantised(optimise(tiny_model), slice(1)), tmp_path)
    assert (made["QLinearConv"], made["Gemm"] + made["FusedGemm"], made["QGemm"]) == (1, 1, 0)
    assert made["Conv"] + made["FusedConv"] == 1


def test_all_tensors_keep_their_names_types_and_shapes(model: onnx.ModelProto) -> None:
    fp32, int8 = Network.from_proto(model), Network.from_proto(quantised(model))
    assert (int8.inputs, int8.outputs) == (fp32.inputs, fp32.outputs)
    for name in fp32.graph.producer:
        assert int8.tensor(name) == fp32.tensor(name)


def test_both_parts_together_give_exactly_what_the_whole_gives(model: onnx.ModelProto) -> None:
    fp32, int8 = Network.from_proto(model), Network.from_proto(quantised(model))
    engine = Engine(threads=1, cache_bytes=1 << 26)
    engine.add("int8", int8)
    feeds = {"image": pictures(fp32)}
    whole = engine.run("int8", feeds, fp32.graph.outputs)
    cuts = candidate_cuts(fp32, layers(fp32))[1:]
    assert cuts
    for cut in cuts:
        head = engine.run("int8", feeds, cut.tensors)
        crossing, outputs = int8.behind(cut.tensors)
        tail = engine.run("int8", {name: head[name] for name in crossing}, outputs)
        for name in outputs:
            np.testing.assert_array_equal(tail[name], whole[name])


def test_parts_of_either_precision_join(tiny_model: onnx.ModelProto) -> None:
    model = optimise(tiny_model)
    networks = {"fp32": Network.from_proto(model), "int8": Network.from_proto(quantised(model))}
    engine = Engine(threads=1, cache_bytes=1 << 26)
    for key, network in networks.items():
        engine.add(key, network)
    feeds = {"image": pictures(networks["fp32"])}
    expected = engine.run("fp32", feeds, ["logits"])["logits"]
    for cut in candidate_cuts(networks["fp32"], layers(networks["fp32"]))[1:]:
        for head, tail in product(networks, networks):
            found = engine.run(tail, engine.run(head, feeds, cut.tensors), ["logits"])["logits"]
            assert np.abs(found - expected).max() < 0.03 * np.ptp(expected), (cut.name, head, tail)


def test_images_do_not_change_one_another(model: onnx.ModelProto) -> None:
    int8 = Network.from_proto(quantised(model))
    assert hindrance(int8, crossing(Network.from_proto(model))) is None


def test_a_network_of_one_image_at_a_time(tiny_model: onnx.ModelProto) -> None:
    int8 = Network.from_proto(quantised(fix_batch(tiny_model)))
    assert int8.inputs[0].shape == (1, 16, 16, 3)


def test_it_is_sound_for_any_onnx_tool(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(quantised(model), full_check=True)


_DIGEST = """
import hashlib, sys
from tests.task_networks import detector
from tests.unit.catalog.authoring.quantise.test_rewrite import digest
sys.stdout.write(digest(detector()))
"""


def digest(model: onnx.ModelProto) -> str:
    return hashlib.sha256(quantised(optimise(model)).SerializeToString(deterministic=True)).hexdigest()


def test_equal_pictures_give_equal_bytes_in_every_process() -> None:
    made = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            timeout=PROGRAM_S,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made == [digest(detector())] * 2


def test_layers_know_their_work(tiny_model: onnx.ModelProto) -> None:
    found: tuple[IntegerLayer, ...] = integer_layers(Network.from_proto(optimise(tiny_model)))
    assert [layer.macs for layer in found] == [8 * 27 * 256, 16 * 72 * 64, 3 * 64]
