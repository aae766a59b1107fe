"""The question that the device asks a companion, and the answer that it reads. Impossible answers are rejected."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.device.companions.exchange import CompanionReply
from collabd.device.companions.failures import CompanionFailure, FailureReason

_JSON = msgspec.json.Encoder()
Tensors = dict[str, npt.NDArray[np.generic]]

# The companion's clock may run up to 5 % faster than the device's, and the companion rounds its times.
_CLOCK_RATIO, _CLOCK_S = 1.05, 1e-3
# JSON allows integers that are too large for any float.
_MOST = sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks to compute the tensors `outputs` from `inputs`, with the network `model` of the package `digest`.

    `bytes_down`: the size of the outputs in bytes. `check` takes the tensors of a reply and returns those that were
    asked for. It raises `CompanionFailure` if the tensors cannot be an answer.
    """

    model: str
    digest: str
    inputs: Sequence[wire.Tensor]
    outputs: Sequence[str]
    bytes_down: int
    check: Callable[[Tensors], Tensors]

    def message(self) -> wire.Message:
        """The question as an HTTP message."""
        request = wire.InferRequest(
            list(self.inputs),
            outputs=[wire.RequestedOutput(name) for name in self.outputs],
            parameters={"digest": self.digest, "binary_data_output": True},
        )
        return wire.encode_request(request, _JSON.encode)


@dataclass(frozen=True)
class Health:
    """What a companion reports of itself.

    `load`: the share of its CPUs in use, 0..1; None if it is not measured. `slowdown`: how many times longer a run
    takes on the companion now than on an idle companion at full clock.
    """

    load: float | None
    slowdown: float


@dataclass(frozen=True, kw_only=True)
class RemoteAnswer:
    """What the companion computed, and where the time went, in seconds.

    `link_s`: the time of the whole exchange less the time that the companion worked.
    """

    outputs: Tensors
    link_s: float
    queue_s: float
    decode_s: float
    compute_s: float
    bytes_up: int
    bytes_down: int
    batch: int
    health: Health


def answer_of(question: Question, reply: CompanionReply, bytes_up: int) -> RemoteAnswer:
    """Read the answer in a reply. Raises `CompanionFailure`."""
    try:
        response = wire.decode_response(reply.body, wire.header_length(reply.headers))
        said = response.parameters
        outputs = {tensor.name: tensor.to_array() for tensor in response.outputs}
        queue_s, decode_s, compute_s = (_number(said, f"{phase}_ms") / 1e3 for phase in ("queue", "decode", "compute"))
        batch, health = int(_number(said, "batch", 1)), health_of(said)
    except (wire.WireError, KeyError, ValueError) as error:
        raise CompanionFailure(FailureReason.NONSENSE, f"the companion sent no usable answer: {error}") from error
    if said.get("digest") != question.digest:
        raise CompanionFailure(FailureReason.OTHER_PACKAGE, "the companion's answer belongs to another model package")
    if queue_s + decode_s + compute_s > _CLOCK_RATIO * reply.seconds + _CLOCK_S:
        raise CompanionFailure(
            FailureReason.NONSENSE, "the companion claims to have worked for longer than the exchange took"
        )
    return RemoteAnswer(
        outputs=question.check(outputs),
        link_s=max(reply.seconds - queue_s - decode_s - compute_s, 1e-6),
        queue_s=queue_s,
        decode_s=decode_s,
        compute_s=compute_s,
        bytes_up=bytes_up,
        bytes_down=len(reply.body),
        batch=batch,
        health=health,
    )


def health_of(said: Mapping[str, Any]) -> Health:
    """Read what a reply says of the companion's health. Raises `KeyError` and `ValueError`."""
    load = None if said.get("load") is None else _number(said, "load")
    return Health(load, _number(said, "slowdown", 1))


def _number(said: Mapping[str, Any], name: str, least: float = 0) -> float:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ValueError(f"{name} is {value!r}")
    return float(value)
