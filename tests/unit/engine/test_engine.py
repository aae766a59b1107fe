from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from collabd.engine import Engine, EngineError, EngineStats, Part
from collabd.partition import Network
from tests.patience import PATIENCE_S

MakeNetwork = Callable[..., Network]
X = np.random.default_rng(6).standard_normal((3, 8)).astype(np.float32)


@pytest.fixture
def engine(mlp: Network) -> Engine:
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("mlp", mlp)
    return engine


def forward(network: Network, x: np.ndarray) -> dict[str, np.ndarray]:
    a = x @ network.weights["first"]
    b = np.maximum(a, 0)
    return {"a": a, "b": b, "c": a + b, "y": (a + b) @ network.weights["second"]}


def test_any_part_of_a_network_gives_what_the_whole_gives(engine: Engine, mlp: Network) -> None:
    wanted = forward(mlp, X)
    parts = [(["x"], ["y"]), (["x"], ["a", "b"]), (["a", "b"], ["y"]), (["b", "a"], ["c"]), (["c"], ["y"])]
    for inputs, outputs in parts:
        found = engine.run("mlp", {name: X if name == "x" else wanted[name] for name in inputs}, outputs)
        assert found.keys() == set(outputs)
        for name in outputs:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-5)


def test_outputs_come_in_the_order_asked(engine: Engine) -> None:
    assert list(engine.run("mlp", {"x": X}, ["b", "a"])) == ["b", "a"]
    assert list(engine.run("mlp", {"x": X}, ["a", "b"])) == ["a", "b"]
    assert engine.stats.builds == 1


def test_several_cores_compute_the_same(mlp: Network) -> None:
    engine = Engine(threads=2, cache_bytes=1 << 20)
    engine.add("mlp", mlp)
    np.testing.assert_allclose(engine.run("mlp", {"x": X}, ["y"])["y"], forward(mlp, X)["y"], rtol=1e-5)


def test_a_network_may_run_on_another_number_of_cores(engine: Engine, mlp: Network, make_network: MakeNetwork) -> None:
    engine.add("other", make_network([helper.make_node("Relu", ["x"], ["y"])], {}, {"x": (1, ["batch", 8])}))
    for key in ("mlp", "other"):
        engine.prepare(key, ["x"], ["y"])
    engine.use_threads("mlp", 2)
    assert engine.stats.sessions == 1
    np.testing.assert_allclose(engine.run("mlp", {"x": X}, ["y"])["y"], forward(mlp, X)["y"], rtol=1e-5)
    engine.use_threads("mlp", 2)
    assert (engine.stats.sessions, engine.stats.builds) == (2, 3)


def test_a_session_is_built_once_and_found_again(engine: Engine) -> None:
    engine.prepare("mlp", ["x"], ["y"])
    before = engine.stats
    engine.run("mlp", {"x": X}, ["y"])
    engine.run("mlp", {"x": X[:1]}, ["y"])
    assert (before.sessions, before.builds, before.hits) == (1, 1, 0)
    assert engine.stats == EngineStats(sessions=1, bytes=before.bytes, hits=2, builds=1, evictions=0)


@pytest.mark.parametrize(
    ("feeds", "outputs", "reason"),
    [
        ({"x": X.astype(np.float64)}, ["y"], "'x' must be a float32 array, not float64"),
        ({"x": X.astype(">f4")}, ["y"], "'x' must be a float32 array, not >f4"),
        ({"x": X.tolist()}, ["y"], "'x' must be a float32 array, not list"),
        ({"x": X[0]}, ["y"], r"'x' must have shape \['batch', 8\], not \[8\]"),
        ({"x": X[:, :7]}, ["y"], r"'x' must have shape \['batch', 8\], not \[3, 7\]"),
        ({"a": X.repeat(2, 1), "b": X[:2].repeat(2, 1)}, ["y"], r"'b' must have shape \[3, 16\], not \[2, 16\]"),
        ({"b": X.repeat(2, 1)}, ["y"], r"\['x'\] are missing"),
        ({}, ["y"], "at least one input"),
        ({"x": X, "a": X}, ["y"], r"\['x'\] are not needed"),
        ({"x": X, "z": X}, ["y"], "no tensor 'z'"),
        ({"x": X}, ["z"], "no tensor 'z'"),
        ({"x": X}, [], "at least one input and one output"),
        ({"x": X}, ["y", "y"], "twice"),
    ],
)
def test_feeds_and_outputs_that_do_not_fit_are_refused(
    engine: Engine, feeds: Mapping[str, Any], outputs: Sequence[str], reason: str
) -> None:
    with pytest.raises(EngineError, match=reason):
        engine.run("mlp", feeds, outputs)


def test_an_unknown_network_is_refused(engine: Engine) -> None:
    engine.remove("mlp")
    for call in (lambda: engine.run("mlp", {"x": X}, ["y"]), lambda: engine.prepare("other", ["x"], ["y"])):
        with pytest.raises(EngineError, match="no network"):
            call()


def test_a_failure_of_the_runtime_is_an_engine_error(make_network: MakeNetwork) -> None:
    network = make_network(
        [helper.make_node("Gather", ["table", "index"], ["y"])],
        {"table": np.arange(4, dtype=np.float32)},
        {"index": (TensorProto.INT64, ["batch"])},
    )
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("gather", network)
    with pytest.raises(EngineError, match=r"running \['index'\].*failed"):
        engine.run("gather", {"index": np.array([9])}, ["y"])
    assert engine.run("gather", {"index": np.array([3])}, ["y"])["y"] == [3]


class Source:
    """A network whose parts are made by a function; counts how often it is asked."""

    def __init__(self, make: Callable[[Sequence[str], Sequence[str]], Part]) -> None:
        self.asked = 0
        self._make = make

    def subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> Part:
        self.asked += 1
        return self._make(inputs, outputs)


def test_a_part_that_the_runtime_refuses_is_an_engine_error() -> None:
    engine = Engine(threads=1, cache_bytes=1 << 20)
    rubbish = Source(lambda *_: SimpleNamespace(model=b"rubbish", constants={}, weights={}))
    engine.add("rubbish", rubbish)
    for attempt in (1, 2):
        with pytest.raises(EngineError, match="refuses"):
            engine.prepare("rubbish", ["x"], ["y"])
        assert rubbish.asked == attempt
    assert engine.stats == EngineStats(sessions=0, bytes=0, hits=0, builds=0, evictions=0)


def test_an_input_that_numpy_cannot_hold_is_refused(make_network: MakeNetwork) -> None:
    network = make_network(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], {}, {"x": (TensorProto.BFLOAT16, ["batch"])}
    )
    engine = Engine(threads=1, cache_bytes=1 << 20)
    engine.add("bfloat16", network)
    with pytest.raises(EngineError, match=r"'x' is a tensor\(bfloat16\)"):
        engine.prepare("bfloat16", ["x"], ["y"])


def test_a_raced_build_happens_once(mlp: Network) -> None:
    source = Source(mlp.subgraph)
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("mlp", source)
    start = Barrier(8, timeout=PATIENCE_S)

    def run(_: int) -> np.ndarray:
        start.wait()
        return engine.run("mlp", {"x": X}, ["y"])["y"]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, range(8)))
    assert source.asked == engine.stats.builds == 1
    assert engine.stats.hits == 7
    for one in found:
        np.testing.assert_array_equal(one, found[0])


def test_many_threads_many_parts_little_room(mlp: Network) -> None:
    """Sessions come and go under the feet of their users, and every answer is right."""
    engine = Engine(threads=1, cache_bytes=3 << 20)
    engine.add("mlp", mlp)
    parts = [("x", "y"), ("x", "a"), ("x", "c"), ("c", "y"), ("a", "c")]

    def run(task: tuple[int, tuple[str, str]]) -> None:
        seed, (start, end) = task
        x = np.random.default_rng(seed).standard_normal((seed % 3 + 1, 8)).astype(np.float32)
        wanted = forward(mlp, x) | {"x": x}
        found = engine.run("mlp", {start: wanted[start]}, [end])[end]
        np.testing.assert_allclose(found, wanted[end], rtol=1e-4, atol=1e-4)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, product(range(12), parts)))
    stats = engine.stats
    assert stats.builds - stats.evictions == stats.sessions <= 2
    assert stats.hits + stats.builds == 60
    assert stats.bytes <= 3 << 20


def test_a_network_that_is_replaced_answers_no_more(engine: Engine, make_network: MakeNetwork) -> None:
    engine.run("mlp", {"x": X}, ["y"])
    engine.add("mlp", make_network([helper.make_node("Neg", ["x"], ["y"])], {}))
    assert engine.stats.sessions == 0
    np.testing.assert_array_equal(engine.run("mlp", {"x": X}, ["y"])["y"], -X)


def test_a_network_removed_while_it_is_built_leaves_nothing_behind(mlp: Network) -> None:
    asked, removed = Event(), Event()

    def make(inputs: Sequence[str], outputs: Sequence[str]) -> Part:
        asked.set()
        assert removed.wait(PATIENCE_S)
        return mlp.subgraph(inputs, outputs)

    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("mlp", Source(make))
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(engine.run, "mlp", {"x": X}, ["y"])
        assert asked.wait(PATIENCE_S)
        engine.remove("mlp")
        removed.set()
        np.testing.assert_allclose(run.result(PATIENCE_S)["y"], forward(mlp, X)["y"], rtol=1e-5)
    assert engine.stats.sessions == 0


class Vanishing(dict[str, Any]):
    """Networks of which each is gone as soon as it was looked up: `remove` in the narrowest of gaps."""

    def get(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)


def test_a_network_removed_between_lookup_and_build_leaves_nothing_behind(engine: Engine, mlp: Network) -> None:
    engine._added = Vanishing(engine._added)
    np.testing.assert_allclose(engine.run("mlp", {"x": X}, ["y"])["y"], forward(mlp, X)["y"], rtol=1e-5)
    assert engine.stats == EngineStats(sessions=0, bytes=0, hits=0, builds=1, evictions=0)


def test_one_network_under_two_keys_shares_its_sessions(engine: Engine, mlp: Network) -> None:
    engine.add("again", mlp)
    engine.run("mlp", {"x": X}, ["y"])
    engine.run("again", {"x": X}, ["y"])
    engine.remove("again")
    engine.run("mlp", {"x": X}, ["y"])
    assert (engine.stats.builds, engine.stats.hits) == (1, 2)


def test_large_weights_are_shared_and_not_counted(make_network: MakeNetwork) -> None:
    rng = np.random.default_rng(8)
    large = rng.standard_normal((8, 1 << 18)).astype(np.float32)
    small = rng.standard_normal((1 << 18, 2)).astype(np.float32)
    network = make_network(
        [helper.make_node("MatMul", ["x", "large"], ["a"]), helper.make_node("MatMul", ["a", "small"], ["y"])],
        {"large": large, "small": small},
    )
    engine = Engine(threads=1, cache_bytes=64 << 20)
    engine.add("wide", network)
    a = engine.run("wide", {"x": X}, ["a"])["a"]
    np.testing.assert_allclose(a, X @ large, rtol=1e-4, atol=1e-4)
    alone = engine.stats.bytes
    assert alone < 2 << 20 < large.nbytes
    y = engine.run("wide", {"x": X}, ["y"])["y"]
    np.testing.assert_allclose(y, (X @ large) @ small, rtol=1e-3, atol=1e-1)
    assert small.nbytes <= engine.stats.bytes - alone < small.nbytes + (2 << 20)


def test_the_least_recently_used_session_goes_first(mlp: Network) -> None:
    engine = Engine(threads=1, cache_bytes=5 << 19)
    engine.add("mlp", mlp)
    for output in ("a", "b", "a", "c"):
        engine.prepare("mlp", ["x"], [output])
    assert (engine.stats.sessions, engine.stats.evictions) == (2, 1)
    engine.prepare("mlp", ["x"], ["a"])
    assert engine.stats.builds == 3
    engine.prepare("mlp", ["x"], ["b"])
    assert engine.stats.builds == 4
