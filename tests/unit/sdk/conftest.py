"""A daemon that does what its script says, in this process or behind a real Unix socket, and a clock set by hand."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import settings

from collab_sdk import MockTransport, wire
from collab_sdk.answers import Classification
from collab_sdk.result import Plan, Predicted, Result, Timings, encode_result
from collab_sdk.transport import DaemonReply, DaemonRequest
from tests.patience import PATIENCE_S
from tests.served import Handler, ServedDaemon

# A busy machine must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

T = TypeVar("T")
LABELS = ("cat", "dog", "ship")


class HandClock:
    """Stands still until somebody sleeps, or a test sets it forward."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ScriptedDaemon(MockTransport):
    """``script`` makes the reply to each request; tests change it."""

    def __init__(self, script: Handler) -> None:
        super().__init__(self._follow)
        self.script = script

    def _follow(self, request: DaemonRequest) -> DaemonReply:
        return self.script(request)

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]


def sent_on(it: T) -> T:
    """What another process gets of it."""
    queue: multiprocessing.Queue[T] = multiprocessing.Queue()
    try:
        queue.put(it)
        return queue.get(timeout=PATIENCE_S)
    finally:
        queue.close()
        queue.join_thread()


def as_json(value: Any, status: int = 200) -> DaemonReply:
    return DaemonReply(status, json.dumps(value).encode())


def inference(request: DaemonRequest) -> wire.InferRequest:
    return wire.decode_request(request.message.body(), wire.header_length(request.message.headers))


def is_inference(request: DaemonRequest) -> bool:
    return request.url.endswith("/infer")


def a_result(**changes: Any) -> Result:
    """A classifier's result with every part filled in."""
    parts: dict[str, Any] = {
        "model": "net",
        "digest": "sha256:1",
        "task": "classify",
        "answer": Classification(np.array([0.25, 0.5, 0.25], np.float32), LABELS),
        "plan": Plan(cut="pool2", codec="q8", placement="DDC", cloud="pc", reason="fastest in budget"),
        "predicted": Predicted(latency_ms=12.5, head_ms=3.0, energy_mj=31.0, cost=0.001),
        "measured": Timings(latency_ms=13, queue_ms=0.0, tail_ms=2.25),
        "energy_mj": 30.5,
        "energy_source": "modelled",
        "cost": 0.002,
        "fidelity": 0.995,
        "bytes_up": 955,
        "bytes_down": 60,
        "budget_met": False,
        "unmet": ("latency", "cost"),
        "degraded": True,
        "why": "pc timed out, the device ran the tail",
        "ran": "DDD",
    }
    return Result(**(parts | changes))


def answer_with(result: Result) -> Handler:
    """A script that answers every inference with this result, and its model's metadata."""

    def script(request: DaemonRequest) -> DaemonReply:
        if is_inference(request):
            message = wire.encode_response(encode_result(result), inference(request).wants_binary)
            return DaemonReply(200, message.body(), message.headers)
        assert request.url == f"/v2/models/{result.model}"
        parameters = {"digest": result.digest, "labels": list(result.labels)}
        return as_json({"name": result.model, "parameters": parameters})

    return script


@pytest.fixture
def result() -> Result:
    return a_result()


@pytest.fixture
def changed() -> Callable[..., Result]:
    """Makes the fixture's result with changes."""
    return a_result


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon(answer_with(a_result()))


@pytest.fixture
def served(daemon: ScriptedDaemon, tmp_path: Path) -> Iterator[ServedDaemon]:
    """The daemon behind a real socket."""
    served = ServedDaemon(tmp_path / "sock", partial(daemon.send, timeout_s=60))
    yield served
    served.stop()
