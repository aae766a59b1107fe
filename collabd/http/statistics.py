"""What a model has answered since the daemon started: the statistics extension of the Open Inference Protocol."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from collab_sdk.result import MODEL_VERSION


@dataclass(slots=True, kw_only=True)
class _Taken:
    """How often something was done, and the nanoseconds that it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += max(round(seconds * 1e9), 0)

    def report(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True, kw_only=True)
class ModelStatistics:
    """The counts of one model; they only grow."""

    _success: _Taken = field(default_factory=_Taken)
    _fail: _Taken = field(default_factory=_Taken)
    _queue: _Taken = field(default_factory=_Taken)
    _input: _Taken = field(default_factory=_Taken)
    _infer: _Taken = field(default_factory=_Taken)
    _output: _Taken = field(default_factory=_Taken)
    _last_ms: int = 0

    def answered(self, whole_s: float, *, input_s: float, infer_s: float, output_s: float) -> None:
        """Count an answer, and the seconds of its phases.

        `input_s`: until the network has its tensors, with their way to a companion. `infer_s`: runs of the network.
        `output_s`: what is made of its outputs. What is left of `whole_s` is waiting, and counts as the queue.
        """
        self._success.add(whole_s)
        self._queue.add(whole_s - input_s - infer_s - output_s)
        self._input.add(input_s)
        self._infer.add(infer_s)
        self._output.add(output_s)
        self._last_ms = round(time.time() * 1e3)

    def failed(self, whole_s: float) -> None:
        """Count a call that ended in an error after so many seconds."""
        self._fail.add(whole_s)

    def report(self, name: str) -> dict[str, Any]:
        """One of the protocol's `model_stats`."""
        nothing = _Taken().report()
        return {
            "name": name,
            "version": MODEL_VERSION,
            "last_inference": self._last_ms,
            "inference_count": self._success.count,
            "execution_count": self._success.count,
            "inference_stats": {
                "success": self._success.report(),
                "fail": self._fail.report(),
                "queue": self._queue.report(),
                "compute_input": self._input.report(),
                "compute_infer": self._infer.report(),
                "compute_output": self._output.report(),
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [],
        }
