"""How the suite is run, and a real network that is small enough to build and run in milliseconds."""

from __future__ import annotations

import os
import signal
from math import prod, sqrt
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from tests.told_at_once import ToldAtOnce
from tests.watchdog import Watchdog

# No test asserts how long anything takes, hypothesis neither.
settings.register_profile("collabd", deadline=None)
settings.load_profile("collabd")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watchdog(), "watchdog")
    config.pluginmanager.register(ToldAtOnce(config), "told-at-once")
    # A shell ignores it for what it starts with `&`, and so would all programs that tests start and then interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With SYSTEM_TESTS=required, as in CI, a test that was skipped has failed: nothing goes untested unseen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SYSTEM_TESTS") == "required" and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("SYSTEM_TESTS=required: the tests skipped above have to run here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Whose tests share one booted machine, and take longest.
_IN_THE_BOX = "tests/system/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that side by side nothing is left to wait for at the end.

    That is the box, and then the files that have slow tests.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(_IN_THE_BOX), item.path not in slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --numprocesses: the tests of a file run in one process, in their order, and so do all that share a box."""
    from xdist.scheduler import LoadFileScheduling

    class LoadBoxOrFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return _IN_THE_BOX if nodeid.startswith(_IN_THE_BOX) else super()._split_scope(nodeid)

    # By number of tests otherwise.
    config.option.loadscopereorder = False
    return LoadBoxOrFile(config, log)


TINY_LABELS = ("circle", "square", "star")
TINY_SIDE = 16


def _weight(rng: np.random.Generator, name: str, *shape: int) -> TensorProto:
    scale = sqrt(2 / max(1, prod(shape[1:])))
    return numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name)


@pytest.fixture(scope="session")
def tiny_model() -> onnx.ModelProto:
    """uint8 [batch, 16, 16, 3] to 3 scores: two convolutions, the first with BatchNorm, pooling and a linear layer."""
    rng = np.random.default_rng(7)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "conv1.weight"], ["conv1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv1", "bn.gain", "bn.bias", "bn.mean", "bn.var"], ["bn"]),
        helper.make_node("Relu", ["bn"], ["relu1"]),
        helper.make_node("MaxPool", ["relu1"], ["pool1"], name="pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool1", "conv2.weight"], ["conv2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("MaxPool", ["relu2"], ["pool2"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pool2"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], transB=1),
    ]
    weights = [
        numpy_helper.from_array(np.full((3, 1, 1), 1 / 255, np.float32), "scale"),
        _weight(rng, "conv1.weight", 8, 3, 3, 3),
        *(_weight(rng, f"bn.{name}", 8) for name in ("gain", "bias", "mean")),
        numpy_helper.from_array(np.full(8, 0.5, np.float32), "bn.var"),
        _weight(rng, "conv2.weight", 16, 8, 3, 3),
        _weight(rng, "fc.weight", 3, 64),
        # Such that each class is the answer for some of `tiny_images`.
        numpy_helper.from_array(np.array([4.7, -3.1, -1.6], np.float32), "fc.bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", TINY_SIDE, TINY_SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        weights,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture(scope="session")
def tiny_images() -> list[np.ndarray]:
    """Sixty images, uint8 [16, 16, 3], smooth as photographs are."""
    rng = np.random.default_rng(11)
    coarse = rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)
    return list(coarse.repeat(4, axis=1).repeat(4, axis=2))


@pytest.fixture(scope="session")
def tiny_package(
    tiny_model: onnx.ModelProto, tiny_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Package:
    """The package of `tiny_model`. Shared by all tests: copy it before changing its files."""
    from collabd.catalog.authoring.build import build

    return build(
        tiny_model,
        name="tiny",
        task=Classify(labels=TINY_LABELS),
        picture=Picture(height=TINY_SIDE, width=TINY_SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=tiny_images,
        accuracy={"dataset": "none", "images": 60, "top1": 0.5},
        out=tmp_path_factory.mktemp("packages") / "tiny",
    )


@pytest.fixture(scope="session")
def int8_package(
    tiny_package: Package, tiny_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Package:
    """`tiny_package` with an int8 graph beside its own. Shared by all tests: copy it before changing its files."""
    from tests.int8_twin import with_int8

    return with_int8(tiny_package, tiny_images, tmp_path_factory.mktemp("packages") / "tiny")
