"""A provider that fails gives way to the next one, and no answer is lost by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest

from collab_sdk.vocabulary import Precision, Provider
from collabd.engine import Engine, EngineError, Part, ProviderFailed, Session, Stop
from collabd.engine.inlined import inlined
from collabd.engine.provider import arguments_of
from collabd.partition import Network

X = np.random.default_rng(6).standard_normal((3, 8)).astype(np.float32)
BOTH = (Provider.CUDA, Provider.OPENVINO)


class FailsLater(Session):
    """Runs as the CPU's provider does, until it is told to fail."""

    failing = False

    def __init__(self, part: Part, threads: int, provider: Provider, *, precision: Precision) -> None:  # noqa: ARG002
        super().__init__(part, threads)
        self._provider = provider

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        if FailsLater.failing and self._provider != Provider.CPU:
            raise ProviderFailed("out of memory")
        return super().run(feeds, outputs, stop)


@pytest.fixture
def engine(mlp: Network, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(FailsLater, "failing", False)
    engine = Engine(threads=1, cache_bytes=1 << 26, new_session=FailsLater)
    engine.add("mlp", mlp, providers=BOTH)
    return engine


def test_the_cpus_provider_is_the_last_in_any_case(engine: Engine, mlp: Network) -> None:
    assert engine.providers("mlp") == (*BOTH, Provider.CPU)
    engine.add("other", mlp)
    assert engine.providers("other") == (Provider.CPU,)


def test_one_that_fails_in_a_run_is_given_up_and_the_run_answered(
    engine: Engine, mlp: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add("other", mlp, providers=BOTH)
    before = engine.run("mlp", {"x": X}, ["y"])["y"]
    monkeypatch.setattr(FailsLater, "failing", True)
    np.testing.assert_array_equal(engine.run("mlp", {"x": X}, ["y"])["y"], before)
    assert engine.providers("mlp") == (Provider.CPU,)
    assert engine.given_up("mlp") == dict.fromkeys(BOTH, "out of memory")
    assert engine.has("mlp", ["x"], ["y"])
    assert engine.providers("other") == (*BOTH, Provider.CPU)
    # What is added anew is tried anew.
    engine.add("mlp", mlp, providers=BOTH)
    assert (engine.providers("mlp")[0], engine.given_up("mlp")) == (Provider.CUDA, {})


def test_a_run_that_no_provider_can_do_gives_none_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailsLater, "failing", True)
    with pytest.raises(EngineError, match="'z'"):
        engine.run("mlp", {"x": X, "z": X}, ["y"])
    with pytest.raises(EngineError, match="float32"):
        engine.run("mlp", {"x": X.astype(np.float64)}, ["y"])
    assert engine.providers("mlp") == (*BOTH, Provider.CPU)


def test_one_that_cannot_be_built_gives_way(mlp: Network) -> None:
    engine = Engine(threads=1, cache_bytes=1 << 26)
    engine.add("mlp", mlp, providers=(Provider.TENSORRT,))
    engine.prepare("mlp", ["x"], ["y"])
    plain = Engine(threads=1, cache_bytes=1 << 26)
    plain.add("mlp", mlp)
    found, right = (each.run("mlp", {"x": X}, ["y"])["y"] for each in (engine, plain))
    np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-3)
    for reason in engine.given_up("mlp").values():
        assert "TensorrtExecutionProvider" in reason


def test_a_network_that_is_gone_has_no_providers(engine: Engine) -> None:
    engine.remove("mlp")
    assert (engine.providers("mlp"), engine.given_up("mlp")) == ((Provider.CPU,), {})


def test_weights_become_constants(mlp: Network) -> None:
    part = mlp.subgraph(["x"], ["y"])
    first = mlp.weights["first"]
    model = onnx.load_model_from_string(part.model)
    del model.graph.initializer[:]
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        for name, array in mlp.weights.items()
    )
    shared = inlined(model.SerializeToString(), {}, mlp.weights)
    assert (shared.weights, shared.constants.keys()) == ({}, mlp.weights.keys())
    found = Session(shared, 1).run({"x": X}, ["y"])["y"]
    np.testing.assert_allclose(found, Session(part, 1).run({"x": X}, ["y"])["y"], rtol=1e-5)
    assert first is shared.constants["first"]
    assert inlined(part.model, part.constants, {}).model is part.model


class Told(Session):
    """Knows in which precision it is to compute."""

    def __init__(self, part: Part, threads: int, provider: Provider, *, precision: Precision) -> None:  # noqa: ARG002
        super().__init__(part, threads)
        self._added = np.float32(0 if precision == Precision.FP32 else 1)

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], stop: Stop | None = None
    ) -> dict[str, np.ndarray]:
        if self._added and FailsLater.failing:
            raise ProviderFailed("out of memory")
        return {name: array + self._added for name, array in super().run(feeds, outputs, stop).items()}


@pytest.fixture
def both(mlp: Network, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """In fp32 as "mlp", and in bf16 as "mlp/bf16"."""
    monkeypatch.setattr(FailsLater, "failing", False)
    engine = Engine(threads=1, cache_bytes=1 << 26, new_session=Told)
    engine.add("mlp", mlp, providers=BOTH)
    engine.add_reduced("mlp/bf16", mlp, provider=Provider.OPENVINO, precision=Precision.BF16)
    return engine


def test_one_network_in_two_precisions_has_sessions_of_each(both: Engine) -> None:
    for _ in range(2):
        right, reduced = (both.run(key, {"x": X}, ["y"])["y"] for key in ("mlp", "mlp/bf16"))
        np.testing.assert_array_equal(reduced, right + 1)
    assert (both.stats.sessions, both.stats.hits) == (2, 2)
    assert both.providers("mlp/bf16") == (Provider.OPENVINO,)
    both.remove("mlp/bf16")
    assert both.stats.sessions == 1
    np.testing.assert_array_equal(both.run("mlp", {"x": X}, ["y"])["y"], right)


def test_nothing_else_computes_what_fails_in_a_reduced_precision(both: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailsLater, "failing", True)
    with pytest.raises(EngineError, match="out of memory"):
        both.run("mlp/bf16", {"x": X}, ["y"])
    both.run("mlp", {"x": X}, ["y"])
    assert (both.given_up("mlp"), both.given_up("mlp/bf16")) == ({}, {})


def test_only_a_provider_that_reduces_is_told_to() -> None:
    ((_, options),) = arguments_of(Provider.OPENVINO, 1, Precision.BF16)
    assert "bf16" in options["load_config"]
    ((_, options),) = arguments_of(Provider.OPENVINO, 1)
    assert '"f32"' in options["load_config"]
    for provider in (Provider.CPU, Provider.CUDA, Provider.TENSORRT):
        with pytest.raises(ValueError, match="does not compute in bf16"):
            arguments_of(provider, 1, Precision.BF16)
