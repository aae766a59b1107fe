"""What a simulated companion is asked to compute, and the message with which it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.vocabulary import Precision
from collabd.device.companions.overhead import ENVELOPE_UP_BYTES
from collabd.planning import Candidate
from collabd.simulation.turn import Turn
from collabd.simulation.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Took:
    """The companion's own seconds for a request, and how many images ran together."""

    queue_s: float
    decode_s: float
    compute_s: float
    batch: int


@dataclass(frozen=True, kw_only=True)
class SimulatedRequest:
    """A request, and the seconds that decoding and computing take for it, by the profile and the luck of the request.

    `plan`: a candidate plan with the cut and the codec of the request.
    """

    feeds: tuple[str, ...]
    outputs: tuple[str, ...]
    codec: str
    precision: Precision
    plan: Candidate
    decode_s: float
    run_s: float
    up_bytes: int

    def answer(
        self,
        workload: Workload,
        outputs: Mapping[str, npt.NDArray[np.generic]],
        *,
        took: Took,
        health: Mapping[str, float],
    ) -> wire.Message:
        """The message of a companion of this `health` that answers with `outputs` and reports what that took."""
        said = {
            "queue_ms": took.queue_s * 1e3,
            "decode_ms": took.decode_s * 1e3,
            "compute_ms": took.compute_s * 1e3,
            "batch": took.batch,
        }
        response = wire.InferResponse(
            workload.package.manifest.name,
            "1",
            [wire.Tensor.from_array(*each) for each in outputs.items()],
            parameters={"digest": workload.package.digest, "precision": self.precision, **said, **health},
        )
        return wire.encode_response(response, binary=True)


def asked(workload: Workload, turn: Turn, *, data: bytes, headers: Mapping[str, str]) -> SimulatedRequest:
    """What the request with this body and these headers asks for."""
    request = wire.decode_request(data, wire.header_length(headers))
    feeds, outputs = tuple(tensor.name for tensor in request.inputs), tuple(each.name for each in request.outputs)
    precision, codec = Precision(request.parameters["precision"]), str(request.inputs[0].parameters["codec"])
    plan = workload.plan(workload.cut(feeds).name, codec)
    return SimulatedRequest(
        feeds=feeds,
        outputs=outputs,
        codec=codec,
        precision=precision,
        plan=plan,
        decode_s=plan.decode_s * turn.luck.cloud,
        run_s=workload.times[precision].run_s(feeds, outputs) * turn.luck.cloud,
        up_bytes=sum(len(tensor.data) for tensor in request.inputs) + ENVELOPE_UP_BYTES,
    )
