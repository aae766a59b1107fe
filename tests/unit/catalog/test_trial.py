"""Graphs that mean harm: each is refused for its own reason, before it can cost anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog import package as packages
from collabd.catalog import trial, vet
from collabd.catalog.effort import Effort, effort, require_bounded, rows_together
from collabd.catalog.package import Package
from collabd.catalog.plain import read_plain
from collabd.partition import annotate

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def stored(tiny_package: Package) -> onnx.ModelProto:
    """The tiny package's graph, to be changed."""
    return onnx.load(tiny_package.path / packages.MODEL)


def graph_of(nodes: Sequence[NodeProto], **weights: Any) -> onnx.ModelProto:
    """uint8 [batch, 16, 16, 3] by way of `nodes`, from "float" to "made", to 3 scores."""
    before = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    after = [
        helper.make_node("ReduceMean", ["made"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("MatMul", ["flat", "narrow"], ["scores"]),
        helper.make_node("Add", ["scores", "mean"], ["logits"]),
    ]
    weights["narrow"] = np.zeros((768, 3), np.float32)
    graph = helper.make_graph(
        [before, *nodes, *after],
        "hostile",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 16, 16, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


def refuse_plain(model: onnx.ModelProto, match: str) -> None:
    with pytest.raises(InvalidPackage, match=match):
        read_plain(model.SerializeToString())


def _add_function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], body, [helper.make_opsetid("", 20)]))


def _nest(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["logits"], ["again"], body=body))


def _sparse_attribute(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="Constant", output=["gigabytes"])
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [1 << 40])
    node.attribute.append(helper.make_attribute("sparse_value", sparse))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"), "not one of ONNX's own"),
        (lambda model: model.opset_import.append(helper.make_opsetid("com.acme", 1)), "'com.acme' 1"),
        (lambda model: setattr(model.opset_import[0], "version", 6), "7 or newer"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "opset 99"),
        (lambda model: setattr(model, "ir_version", 99), "IR version 99"),
        (_add_function, "functions"),
        (lambda model: model.training_info.add(), "training"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse weights"),
        (_sparse_attribute, "sparse weights"),
        (_nest, "graph inside"),
        (lambda model: model.graph.node.append(helper.make_node("RandomNormal", [], ["r"], shape=[3])), "random"),
        (lambda model: setattr(model.graph.node[0], "name", "n" * 513), "513|512 characters"),
        (lambda model: setattr(model.graph.initializer[0], "name", "n" * 513), "512 characters"),
        (lambda model: model.graph.node.extend([NodeProto()] * 10_001), "more than 10000 nodes"),
    ],
)
def test_what_is_not_plain_is_refused(stored: onnx.ModelProto, change: Change, reason: str) -> None:
    change(stored)
    refuse_plain(stored, reason)


def test_a_graph_nested_too_deeply_to_read_is_refused() -> None:
    data = b""
    for _ in range(2000):  # GraphProto in AttributeProto in NodeProto in GraphProto
        for field in (6, 5, 1):
            data = bytes([field << 3 | 2]) + _varint(len(data)) + data
    with pytest.raises(InvalidPackage, match="not a sound ONNX graph"):
        read_plain(b"\x3a" + _varint(len(data)) + data)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def node(op: str, *inputs: str, made: str = "made", **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs, [made], **attributes)


def whole(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)


LARGE = 1 << 20
# Six tensors of 246 MB.
CHAIN = [node("Expand", "float", "sizes", made="t0"), *(node("Relu", f"t{i}", made=f"t{i + 1}") for i in range(5))]


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ([node("ConstantOfShape", "sizes")], {"sizes": whole(LARGE, LARGE)}, "'made' takes"),
        ([node("Expand", "float", "sizes")], {"sizes": whole(LARGE, 1, 16, 16, 3)}, "'made' takes"),
        ([node("Tile", "float", "times")], {"times": whole(1, 1000, 1000, 1)}, "'made' takes"),
        (
            [node("Resize", "float", "", "scales", mode="nearest")],
            {"scales": np.array([1, 999, 999, 1], np.float32)},
            "'made' takes",
        ),
        ([node("Pad", "float", "pads")], {"pads": whole(0, LARGE, 0, 0, 0, 0, LARGE, 0)}, "'made' takes"),
        (
            [node("Cast", "float", made="index", to=TensorProto.INT64), node("OneHot", "index", "depth", "values")],
            {"depth": whole(1 << 30), "values": np.array([0, 1], np.float32)},
            "takes|does not follow",
        ),
        # As large as its values say: nobody can tell before.
        (
            [node("NonZero", "float", made="where"), node("Cast", "where", to=TensorProto.FLOAT)],
            {},
            "does not follow",
        ),
        (
            [
                node("ReduceMax", "float", made="value", keepdims=0),
                node("Cast", "value", made="size", to=TensorProto.INT64),
                node("Unsqueeze", "size", "zeroth", made="sizes"),
                node("ConstantOfShape", "sizes"),
            ],
            {"zeroth": whole(0)},
            "does not follow|cannot be inferred",
        ),
        # Each below the limit of one, together above that of all.
        (
            [*CHAIN, node("Sum", *(f"t{i}" for i in range(6)))],
            {"sizes": whole(80_000, 1, 16, 16, 3)},
            "the tensors alive at once for one image take 17[0-9]{8} bytes, more than 1073741824",
        ),
        # Computed from weights alone, and far larger than those that were sent.
        ([node("Tile", "few", "times")], {"few": np.zeros(64, np.float32), "times": whole(1 << 24)}, "'made' takes"),
        (
            [*(node("Tile", "few", "times", made=f"w{i}") for i in range(3)), node("Sum", "w0", "w1", "w2")],
            {"few": np.zeros(64, np.float32), "times": whole(1 << 19)},
            "the tensors computed from weights alone take 536[0-9]{6} bytes",
        ),
        ([node("StringNormalizer", "float")], {}, "contradict|sound"),
        (
            [node("SequenceConstruct", "float", made="s"), node("ConcatFromSequence", "s", axis=0)],
            {},
            "shape of|tensor",
        ),
    ],
)
def test_what_is_not_bounded_is_refused(nodes: list[NodeProto], weights: dict[str, Any], reason: str) -> None:
    model = read_plain(graph_of(nodes, **weights).SerializeToString())
    with pytest.raises(InvalidPackage, match=reason):
        require_bounded(model)


def test_tensors_that_are_alive_one_after_another_count_one_after_another() -> None:
    nodes = [*CHAIN, node("ReduceMean", "t5", made="made")]
    model = annotate(graph_of(nodes, sizes=whole(80_000, 1, 16, 16, 3)))
    assert effort(require_bounded(model)).nbytes == pytest.approx(2 * 245_760_000, rel=0.01)


def test_weights_count_once_and_not_as_tensors_of_an_image() -> None:
    """Those of VGG's first linear layer are 400 MB, stored as half of that."""
    widened = node("Cast", "half", made="wide", to=TensorProto.FLOAT)
    nodes = [widened, node("ReduceMax", "wide", made="most", keepdims=0), node("Mul", "float", "most")]
    model = annotate(graph_of(nodes, half=np.zeros((4, 17 << 20), np.float16)))
    assert effort(require_bounded(model)).nbytes < 1 << 20


def test_work_is_bounded() -> None:
    nodes = [
        node("ReduceMean", "float", made="one", keepdims=0),
        node("Add", "one", "start", made="varying"),
        node("Expand", "varying", "sizes", made="m0"),
        *(node("MatMul", f"m{i}", "square", made="made" if i == 14 else f"m{i + 1}") for i in range(15)),
    ]
    weights = {"start": np.zeros((1, 3000), np.float32), "sizes": whole(20_000, 3000)}
    model = annotate(graph_of(nodes, **weights, square=np.zeros((3000, 3000), np.float32)))
    with pytest.raises(InvalidPackage, match=r"2.7e\+12 multiply-accumulates, more than 1.2e\+12"):
        require_bounded(model)


@pytest.mark.parametrize(
    ("one", "rows"),
    [
        (Effort(macs=20 * 10**9, nbytes=30 << 20), 34),  # a VGG-19
        (Effort(macs=38 * 10**9, nbytes=250 << 20), 4),
        (Effort(macs=5 * 10**11, nbytes=400 << 20), 2),
        (Effort(macs=2 * 10**12, nbytes=1 << 30), 1),
        (Effort(macs=0, nbytes=0), 1 << 30),
    ],
)
def test_a_run_of_several_images_takes_no_more_than_one_image_may(one: Effort, rows: int) -> None:
    assert rows_together(one) == rows


def test_a_false_statement_about_a_shape_is_refused(stored: onnx.ModelProto) -> None:
    value = next(value for value in stored.graph.value_info if value.name == "conv1" or len(_sizes(value)) == 4)
    value.type.tensor_type.shape.dim[1].dim_value = 1
    with pytest.raises(InvalidPackage, match="states one shape"):
        require_bounded(stored)


def _sizes(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def sealed(package: Package, model: onnx.ModelProto, path: Path) -> Package:
    """The package with another graph, and a digest that fits."""
    return packages.write(path, package.manifest, model.SerializeToString(), "CC0-1.0")


def test_a_sound_package_passes(tiny_package: Package) -> None:
    vet.vet(tiny_package.path)
    trial.inspect(tiny_package)


def test_a_graph_that_onnx_takes_and_the_runtime_does_not_is_refused(
    tiny_package: Package, stored: onnx.ModelProto, tmp_path: Path
) -> None:
    # Only values are wrong, which no inference of shapes sees.
    stored.graph.node.insert(0, helper.make_node("Constant", [], ["far"], value_ints=[99]))
    last = stored.graph.node[-1]
    last.output[0], output = "inner", last.output[0]
    stored.graph.node.append(helper.make_node("Gather", ["inner", "far"], ["picked"], axis=1))
    stored.graph.node.append(helper.make_node("Add", ["inner", "picked"], [output]))
    for name, size in (("inner", 3), ("picked", 1)):
        stored.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]))
    stored.graph.value_info.append(helper.make_tensor_value_info("far", TensorProto.INT64, [1]))
    with pytest.raises(InvalidPackage, match="does not run on the companion"):
        vet.vet(sealed(tiny_package, stored, tmp_path / "tiny").path)


def test_a_graph_that_makes_the_checker_itself_take_all_memory_is_refused(
    tiny_package: Package, tmp_path: Path
) -> None:
    # onnx computes small constants while it infers shapes; this one has 2^40 elements.
    nodes = [node("Range", "zero", "limit", "one", made="long"), node("Cast", "long", to=TensorProto.FLOAT)]
    model = graph_of(nodes, zero=np.int64(0), limit=np.int64(1 << 40), one=np.int64(1))
    with pytest.raises(InvalidPackage, match="more memory than one package may take"):
        vet.vet(sealed(tiny_package, model, tmp_path / "tiny").path)


def test_memory_that_no_statement_tells_of_ends_the_trial_and_not_the_daemon(tiny_package: Package) -> None:
    # The libraries take it as they like; the limit holds for all of them.
    code = (
        "import sys, numpy; from collabd.catalog import trial\n"
        "trial.inspect = lambda _: numpy.ones(4 << 30, numpy.uint8)\n"
        "sys.exit(trial.main(sys.argv[1]))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-I", "-c", code, str(tiny_package.path)], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (
        vet.REFUSED,
        b"reading and running it once takes more memory than one package may take",
    )


def test_a_trial_that_crashes_is_a_refusal(
    tiny_package: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho broken >&2\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(InvalidPackage, match="ended with SIGSEGV"):
        vet.vet(tiny_package.path)
    assert "broken" in caplog.text


def test_a_trial_without_end_is_a_refusal(
    tiny_package: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(endless))
    monkeypatch.setattr(vet, "_WALL_S", 0.2)
    with pytest.raises(InvalidPackage, match="not read and run once within"):
        vet.vet(tiny_package.path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.floats(0, 0.999), st.integers(0, 255), min_size=1, max_size=8))
def test_a_damaged_graph_is_refused_or_runs(tiny_package: Package, tmp_path: Path, changes: dict[float, int]) -> None:
    graph = bytearray((tiny_package.path / packages.MODEL).read_bytes())
    for part, value in changes.items():
        graph[int(part * len(graph))] = value
    package = packages.write(tmp_path / "tiny", tiny_package.manifest, bytes(graph), "CC0-1.0")
    try:
        trial.inspect(package)
    except InvalidPackage:
        return
    assert package.network().inputs[0].name == package.manifest.input
