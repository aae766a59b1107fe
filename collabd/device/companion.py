"""One companion as the device knows it: how to call it, and what every exchange teaches about it and the link."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.errors import CollabError, InvalidRequest, Overloaded, UnknownModel, UnknownPackage
from collabd.config import Cloud, Failover, Link
from collabd.device.breaker import Breaker, BreakerState
from collabd.planning import CloudState
from collabd.profiling.profile import Profile
from collabd.sensing.link import LinkEstimate
from collabd.sensing.speed import SpeedFactor

# What HTTP adds to the bodies of an exchange, both ways: request and status lines and headers.
HEADER_BYTES = 500
# A request that waited behind others says how long the next may wait; old news is worth less.
_QUEUE_MEMORY = 0.5
_ONE_GO = 2**20


class FailureReason(StrEnum):
    """What went wrong with a companion."""

    UNREACHABLE = "unreachable"
    LATE = "late"
    BUSY = "busy"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    UNKNOWN_PACKAGE = "unknown-package"


class CompanionFailure(Exception):
    """No usable answer from the companion."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class RemoteAnswer:
    """What the companion computed, and where the time went (seconds). `link_s` is the whole less its own work."""

    outputs: dict[str, npt.NDArray[np.generic]]
    link_s: float
    queue_s: float
    decode_s: float
    compute_s: float
    bytes_up: int
    bytes_down: int
    batch: int


class Companion:
    """The companion `cloud`, over one pool of kept-alive connections."""

    def __init__(self, cloud: Cloud, link: Link, failover: Failover, session: aiohttp.ClientSession) -> None:
        self.cloud = cloud
        self.link = LinkEstimate(link.memory)
        self.speed = SpeedFactor()
        self.breaker = Breaker(failures=failover.breaker_failures, open_s=failover.breaker_open_s)
        # False until first heard from.
        self.reached = False
        self.queue_s = 0.0
        self.load: float | None = None
        # Profiles of the packages that it holds, by digest.
        self.profiles: dict[str, Profile] = {}
        self._session = session
        self._base = cloud.url.rstrip("/")

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.cloud.name

    def is_up(self) -> bool:
        """Whether calls may be sent to it."""
        return self.reached and self.breaker.state(time.monotonic()) is BreakerState.CLOSED

    def state_for(self, digest: str) -> CloudState:
        """What planning needs to know of it for the package `digest`."""
        reading = self.link.read(time.monotonic())
        return CloudState(
            name=self.name,
            up=self.is_up() and digest in self.profiles,
            offset_s=reading.offset_s,
            s_per_byte=reading.s_per_byte,
            link_spread=reading.spread,
            speed=self.speed.value,
            speed_spread=self.speed.spread,
            queue_s=self.queue_s,
            price_per_gb=self.cloud.price_per_gb,
            price_per_second=self.cloud.price_per_second,
            price_per_request=self.cloud.price_per_request,
        )

    def cost(self, answer: RemoteAnswer) -> float:
        """What an exchange is charged."""
        return (
            (answer.bytes_up + answer.bytes_down) * self.cloud.price_per_gb / 1e9
            + answer.compute_s * self.cloud.price_per_second
            + self.cloud.price_per_request
        )

    async def infer(
        self, model: str, digest: str, inputs: Sequence[wire.Tensor], outputs: Sequence[str]
    ) -> RemoteAnswer:
        """Have `outputs` computed from `inputs`. Raises `CompanionFailure`, and feeds the breaker."""
        try:
            answer = await self._exchange(model, digest, inputs, outputs)
        except CompanionFailure as failure:
            self.note_failure(failure)
            raise
        self.breaker.succeeded()
        self._learn(answer)
        return answer

    def note_failure(self, failure: CompanionFailure) -> None:
        """Count a failure against it, unless the failure shows that it is alive and well."""
        if failure.reason is FailureReason.UNKNOWN_PACKAGE:
            self.profiles.clear()  # it was restarted without its packages: ask again what it holds
        elif failure.reason is not FailureReason.BUSY:
            self.breaker.failed(time.monotonic())

    def note_late(self, why: str, sent_bytes: int, link_s: float, *, lost: bool) -> None:
        """An answer that was not waited for any longer, after `link_s` without the tail's time.

        It teaches that the link is slower than believed; only one that is as good as lost counts as a failure.
        """
        moved = sent_bytes + HEADER_BYTES
        self.link.learn_late(moved_bytes=moved, seconds=link_s, now=time.monotonic())
        if lost:
            self.note_failure(CompanionFailure(FailureReason.LATE, why))

    async def _exchange(
        self, model: str, digest: str, inputs: Sequence[wire.Tensor], outputs: Sequence[str]
    ) -> RemoteAnswer:
        request = wire.InferRequest(
            list(inputs),
            [wire.RequestedOutput(name) for name in outputs],
            parameters={"digest": digest, "binary_data_output": True},
        )
        message = wire.encode_request(request)
        start = time.perf_counter()
        status, headers, body = await self.call(
            "POST", f"/v2/models/{model}/infer", data=message.body(), headers=message.headers
        )
        seconds = time.perf_counter() - start
        if status != 200:
            raise _refusal(wire.decode_error(status, body))
        try:
            response = wire.decode_response(body, wire.header_length(headers))
            arrays = {tensor.name: tensor.to_array() for tensor in response.outputs}
            queue_s, decode_s, compute_s = (
                max(float(response.parameters[f"{phase}_ms"]) / 1e3, 0.0) for phase in ("queue", "decode", "compute")
            )
            batch, load = int(response.parameters["batch"]), float(response.parameters["load"])
        except (wire.WireError, KeyError, TypeError, ValueError) as error:
            raise CompanionFailure(FailureReason.NONSENSE, f"{self.name} sent no usable answer: {error}") from error
        self.load = load
        return RemoteAnswer(
            outputs=arrays,
            link_s=max(seconds - queue_s - decode_s - compute_s, 1e-6),
            queue_s=queue_s,
            decode_s=decode_s,
            compute_s=compute_s,
            bytes_up=message.length,
            bytes_down=len(body),
            batch=batch,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP exchange: status, headers, body. Raises `CompanionFailure` where the companion is not reached."""
        # aiohttp writes bytes in one go, which would hold up the loop where they are a package or a large photograph.
        body = io.BytesIO(data) if data is not None and len(data) > _ONE_GO else data
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=self._session.timeout.sock_connect)
        try:
            async with self._session.request(
                method, self._base + path, data=body, headers=headers, timeout=timeout
            ) as reply:
                return reply.status, reply.headers, await reply.read()
        except TimeoutError as error:
            raise CompanionFailure(FailureReason.LATE, f"{self.name} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CompanionFailure(FailureReason.UNREACHABLE, f"{self.name} at {self._base}: {error}") from error

    def _learn(self, answer: RemoteAnswer) -> None:
        moved = answer.bytes_up + answer.bytes_down + HEADER_BYTES
        self.link.learn(moved_bytes=moved, seconds=answer.link_s, now=time.monotonic())
        self.queue_s = _QUEUE_MEMORY * self.queue_s + (1 - _QUEUE_MEMORY) * answer.queue_s


def _refusal(error: CollabError) -> CompanionFailure:
    match error:
        case UnknownPackage() | UnknownModel():
            reason = FailureReason.UNKNOWN_PACKAGE
        case Overloaded():
            reason = FailureReason.BUSY
        case InvalidRequest():
            reason = FailureReason.REFUSED
        case _:
            reason = FailureReason.NONSENSE
    return CompanionFailure(reason, f"the companion answered: {error}")
