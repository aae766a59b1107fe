"""Packages that mean harm: each is refused for its own reason, and ends no process but that of its trial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.trial.apart import REFUSED, try_apart
from collabd.catalog.trial.inspection import inspect
from tests.patience import PROGRAM_S
from tests.unit.catalog.hostile import graph_of, node


@pytest.fixture
def stored(tiny_package: Package) -> onnx.ModelProto:
    """The tiny package's graph, to be changed."""
    return onnx.load(tiny_package.path / packages.MODEL)


def sealed(package: Package, model: onnx.ModelProto, path: Path) -> Package:
    """The package with another graph, and a digest that fits."""
    return packages.write(path, package.manifest, model=model.SerializeToString(), licence="CC0-1.0")


def test_a_sound_package_passes(tiny_package: Package) -> None:
    try_apart(tiny_package.path)
    inspect(tiny_package)


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
    with pytest.raises(InvalidPackage, match="it does not run: "):
        try_apart(sealed(tiny_package, stored, tmp_path / "tiny").path)


@pytest.mark.slow
def test_a_graph_that_makes_the_checker_itself_take_all_memory_is_refused(
    tiny_package: Package, tmp_path: Path
) -> None:
    # onnx computes small constants while it infers shapes; this one has 2^40 elements.
    nodes = [node("Range", "zero", "limit", "one", made="long"), node("Cast", "long", to=TensorProto.FLOAT)]
    model = graph_of(nodes, zero=np.int64(0), limit=np.int64(1 << 40), one=np.int64(1))
    with pytest.raises(InvalidPackage, match="more memory than one package may take"):
        try_apart(sealed(tiny_package, model, tmp_path / "tiny").path)


def test_memory_that_no_statement_tells_of_ends_the_trial_and_not_the_daemon(tiny_package: Package) -> None:
    # The libraries take it as they like; the limit holds for all of them.
    code = (
        "import sys, numpy; from collabd.catalog.trial import __main__ as trial\n"
        "trial.inspect = lambda _: numpy.ones(4 << 30, numpy.uint8)\n"
        "sys.exit(trial.main(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tiny_package.path)], capture_output=True, check=False, timeout=PROGRAM_S
    )
    assert (done.returncode, done.stdout) == (
        REFUSED,
        b"reading its graphs and running them once takes more memory than one package may take",
    )


def test_a_trial_that_crashes_is_a_refusal(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho broken >&2\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    with pytest.raises(InvalidPackage, match="ended with SIGSEGV"):
        try_apart(tiny_package.path, python=str(crashing))
    assert "broken" in caplog.text


def test_a_trial_without_end_is_a_refusal(tiny_package: Package, tmp_path: Path) -> None:
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    with pytest.raises(InvalidPackage, match="not read and run once within"):
        try_apart(tiny_package.path, python=str(endless), wall_s=0.2)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.floats(0, 0.999), st.integers(0, 255), min_size=1, max_size=8))
def test_a_damaged_graph_is_refused_or_runs(tiny_package: Package, tmp_path: Path, changes: dict[float, int]) -> None:
    graph = bytearray((tiny_package.path / packages.MODEL).read_bytes())
    for part, value in changes.items():
        graph[int(part * len(graph))] = value
    package = packages.write(tmp_path / "tiny", tiny_package.manifest, model=bytes(graph), licence="CC0-1.0")
    try:
        inspect(package)
    except InvalidPackage:
        return
    assert package.network().inputs[0].name == package.manifest.input_names[0]
