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
from collab_sdk.vocabulary import Precision
from collabd.device.companions.exchange import CompanionReply, Sent
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.http.parameters import PACKED

_JSON = msgspec.json.Encoder()
Tensors = dict[str, npt.NDArray[np.generic]]

# The companion's clock may run up to 5 % faster than the device's, and the companion rounds its times.
_CLOCK_RATIO, _CLOCK_S = 1.05, 1e-3
# JSON allows integers that are too large for any float.
_MOST = sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks to compute the tensors `outputs` from `inputs`, with the network `model` of the package `digest`.

    `bytes_down`: the size of the outputs in bytes. `packed`: those that the companion shall compress. `read` takes the
    tensors of a reply and returns those that were asked for. It raises `CompanionFailure` if they cannot be an answer.
    `precision`: in which the companion shall compute; one that has not this precision refuses, or computes in fp32 what
    it may compute in a reduced precision. `patience_s`: for how
    many seconds the call may wait in the companion's queue; None: as long as it takes. `sent` is told how many bytes of
    it have been handed to the network.
    """

    model: str
    digest: str
    inputs: Sequence[wire.Tensor]
    outputs: Sequence[str]
    bytes_down: int
    read: Callable[[Sequence[wire.Tensor]], Tensors]
    packed: frozenset[str] = frozenset()
    precision: Precision = Precision.FP32
    patience_s: float | None = None
    sent: Sent | None = None

    def message(self) -> wire.Message:
        """The question as an HTTP message."""
        request = wire.InferRequest(
            list(self.inputs),
            outputs=[wire.RequestedOutput(name, PACKED if name in self.packed else {}) for name in self.outputs],
            parameters={"digest": self.digest, "precision": self.precision, "binary_data_output": True},
        )
        message = wire.encode_request(request, _JSON.encode)
        if self.patience_s is not None:
            message.headers[wire.PATIENCE_MS] = _few_digits(self.patience_s * 1e3)
        return message


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
    """What the companion computed, in which precision, and where the time went, in seconds.

    `link_s`: the time of the whole exchange less the time that the companion worked.
    """

    outputs: Tensors
    precision: Precision
    link_s: float
    queue_s: float
    decode_s: float
    compute_s: float
    bytes_up: int
    bytes_down: int
    batch: int
    health: Health

    @property
    def others_s(self) -> float:
        """How long the call waited for others: in the queue, and for those that ran together with it.

        Of a run of 80 ms for eight images, 70 ms are the others'. Without them a full companion would seem fast.
        """
        return self.queue_s + self.compute_s * (1 - 1 / self.batch)


def _few_digits(milliseconds: float) -> str:
    """Rounded down to a power of two, since a companion remembers the heads that it has read."""
    return "0" if milliseconds < 1 else str(1 << (int(milliseconds).bit_length() - 1))


def answer_of(question: Question, reply: CompanionReply, bytes_up: int) -> RemoteAnswer:
    """Read the answer in a reply. Raises `CompanionFailure`."""
    try:
        response = wire.decode_response(reply.body, wire.header_length(reply.headers))
        said = response.parameters
        queue_s, decode_s, compute_s = (_number(said, f"{phase}_ms") / 1e3 for phase in ("queue", "decode", "compute"))
        batch, health = int(_number(said, "batch", 1)), health_of(said)
    except (wire.WireError, KeyError, ValueError) as error:
        raise CompanionFailure(FailureReason.NONSENSE, f"the companion sent no usable answer: {error}") from error
    if said.get("digest") != question.digest:
        raise CompanionFailure(FailureReason.OTHER_PACKAGE, "the companion's answer belongs to another model package")
    wanted = question.precision
    computed = next((each for each in (wanted, wanted.graph) if each == said.get("precision", Precision.FP32)), None)
    if computed is None:
        raise CompanionFailure(FailureReason.OTHER_PACKAGE, f"the companion did not compute in {question.precision}")
    if queue_s + decode_s + compute_s > _CLOCK_RATIO * reply.seconds + _CLOCK_S:
        raise CompanionFailure(
            FailureReason.NONSENSE, "the companion claims to have worked for longer than the exchange took"
        )
    return RemoteAnswer(
        outputs=question.read(response.outputs),
        precision=computed,
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


def again_s_of(said: Mapping[str, Any]) -> float:
    """After how many seconds another ping is welcome, by what the reply to one says. Raises `ValueError`."""
    return _number(said, "again_s") if "again_s" in said else 0.0


def _number(said: Mapping[str, Any], name: str, least: float = 0) -> float:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ValueError(f"{name} is {value!r}")
    return float(value)
