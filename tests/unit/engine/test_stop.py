"""A run is ended from outside, and the session is as good as before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import numpy as np
import pytest
from onnx import helper

from collabd.engine import Engine, Stop, Stopped
from collabd.partition import Network
from tests.patience import PATIENCE_S
from tests.unit.engine.conftest import MakeNetwork

# A second or more of work on any machine, in pieces of a millisecond.
_STEPS = 2_000
_SIZE = 384
X = np.eye(_SIZE, dtype=np.float32)


@pytest.fixture(scope="module")
def long_network(make_network: MakeNetwork) -> Network:
    names = ["x", *(f"t{step}" for step in range(1, _STEPS)), "y"]
    nodes = [helper.make_node("MatMul", [a, "turn"], [b]) for a, b in pairwise(names)]
    return make_network(nodes, {"turn": np.roll(X, 1, axis=1)}, {"x": (1, ["batch", _SIZE])})


@pytest.fixture
def engine(long_network: Network) -> Engine:
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("long", long_network)
    return engine


@pytest.mark.slow
def test_a_run_that_is_stopped_has_no_result_and_leaves_no_trace(engine: Engine) -> None:
    started = Event()
    stop = Stop()

    def run() -> dict[str, np.ndarray]:
        engine.prepare("long", ["x"], ["y"])
        started.set()
        return engine.run("long", {"x": X}, ["y"], stop=stop)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(run)
        assert started.wait(PATIENCE_S)
        assert not stop.wait(0.02)
        stop.request()
        with pytest.raises(Stopped):
            under_way.result(PATIENCE_S)
    for _ in range(2):
        found = engine.run("long", {"x": X}, ["y"], stop=Stop())["y"]
        np.testing.assert_array_equal(found, np.roll(X, _STEPS, axis=1))
    assert engine.stats.builds == 1


def test_a_stop_that_came_before_the_run_holds(engine: Engine) -> None:
    stop = Stop()
    stop.request()
    assert stop.requested
    with pytest.raises(Stopped, match=r"\['x'\].*\['y'\] was stopped"):
        engine.run("long", {"x": X}, ["y"], stop=stop)


def test_a_failure_is_no_stop(make_network: MakeNetwork) -> None:
    from collabd.engine import EngineError

    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add(
        "gather",
        make_network(
            [helper.make_node("Gather", ["table", "index"], ["y"])],
            {"table": np.arange(4, dtype=np.float32)},
            {"index": (7, ["batch"])},
        ),
    )
    with pytest.raises(EngineError) as caught:
        engine.run("gather", {"index": np.array([9])}, ["y"], stop=Stop())
    assert not isinstance(caught.value, Stopped)
