"""One companion as the device knows it: how to call it, and what every exchange teaches about it and the link."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.config import Cloud, Failover, Link
from collabd.device.breaker import Breaker, BreakerState
from collabd.device.exchange import CompanionFailure, FailureReason, Http, Reply, refusal
from collabd.planning import CloudState
from collabd.profiling.profile import Profile
from collabd.sensing.link import LinkEstimate
from collabd.sensing.reading import NotMeasured
from collabd.sensing.speed import Speed, SpeedFactor
from collabd.sensing.split import split
from collabd.sensing.tcp import RoundTrip

# What HTTP adds to the bodies of an exchange, both ways: request and status lines and headers.
HEADER_BYTES = 500
# A request that waited behind others says how long the next may wait; old news is worth less, and nothing in the end.
_QUEUE_MEMORY = 0.5
_QUEUE_FADES_S = 2.0
_ANSWER_S = 10.0


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
        self._factor = SpeedFactor()
        self.breaker = Breaker(failures=failover.breaker_failures, open_s=failover.breaker_open_s)
        # False until first heard from.
        self.reached = False
        self.load: float | None = None
        # When a plan last reckoned with it: as long as nobody calls, its link need not be known.
        self.wanted_at = time.monotonic()
        self._slowdown = 1.0
        self._round_trip = RoundTrip()
        self._queue = (0.0, self.wanted_at)
        # Profiles of the packages that it holds, by digest.
        self.profiles: dict[str, Profile] = {}
        self.http = Http(cloud.name, cloud.url, session)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.cloud.name

    def is_up(self) -> bool:
        """Whether calls may be sent to it."""
        return self.reached and self.breaker.state(time.monotonic()) is BreakerState.CLOSED

    @property
    def queue_s(self) -> float:
        """How long a request may wait there for others."""
        seconds, since = self._queue
        return seconds * math.exp(-(time.monotonic() - since) / _QUEUE_FADES_S)

    def state_for(self, digest: str) -> CloudState:
        """What planning needs to know of it for the package `digest`."""
        now = self.wanted_at = time.monotonic()
        reading, speed = self.link.read(now), self._speed(now)
        return CloudState(
            name=self.name,
            up=self.is_up() and digest in self.profiles,
            rtt_s=reading.rtt_s,
            up_s_per_byte=reading.up_s_per_byte,
            down_s_per_byte=reading.down_s_per_byte,
            link_spread=reading.spread,
            speed=speed.value,
            speed_spread=speed.spread,
            queue_s=self.queue_s,
            price_per_gb=self.cloud.price_per_gb,
            price_per_second=self.cloud.price_per_second,
            price_per_request=self.cloud.price_per_request,
        )

    def cost(self, moved_bytes: int, compute_s: float) -> float:
        """What an exchange is charged."""
        return (
            moved_bytes * self.cloud.price_per_gb / 1e9
            + compute_s * self.cloud.price_per_second
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
        self._queue = _QUEUE_MEMORY * self.queue_s + (1 - _QUEUE_MEMORY) * answer.queue_s, time.monotonic()
        return answer

    async def ping(self, size: int) -> None:
        """Send `size` bytes for nothing: proves that it is there and times the link. Raises `CompanionFailure`."""
        reply = await self.http.call("POST", "/collab/v1/ping", data=bytes(size), timeout_s=_ANSWER_S)
        if reply.status != 200:
            raise CompanionFailure(FailureReason.NONSENSE, f"{self.name} answered a ping with {reply.status}")
        try:
            self._note_load(json.loads(reply.body))
        except (KeyError, TypeError, ValueError) as error:
            raise CompanionFailure(
                FailureReason.NONSENSE, f"{self.name} answered a ping with nonsense: {error}"
            ) from error
        if self.reached:  # the very first exchange also set up the connection
            if not size:
                self._round_trip.pinged(reply.seconds, reply.round_trip_s)
            self._learn_link(reply, size, reply.seconds)
        self.reached = True
        self.breaker.succeeded()

    @property
    def needs_pings(self) -> bool:
        """Whether only pings know the round trip to it."""
        return self._round_trip.needs_pings

    @property
    def slowness(self) -> float:
        """How many times longer than in its profile a run takes there now."""
        return self._speed(time.monotonic()).value

    def learn_speed(self, measured_s: float, profiled_s: float) -> None:
        """Take in how long a run took there."""
        now = time.monotonic()
        self._factor.learn(measured_s=measured_s, profiled_s=profiled_s, now=now, expected=self._slowdown)

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
        self.link.learn_late(up_bytes=sent_bytes, seconds=link_s, now=time.monotonic())
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
        reply = await self.http.call("POST", f"/v2/models/{model}/infer", data=message.body(), headers=message.headers)
        if reply.status != 200:
            raise refusal(wire.decode_error(reply.status, reply.body))
        try:
            response = wire.decode_response(reply.body, wire.header_length(reply.headers))
            arrays = {tensor.name: tensor.to_array() for tensor in response.outputs}
            queue_s, decode_s, compute_s = (
                max(float(response.parameters[f"{phase}_ms"]) / 1e3, 0.0) for phase in ("queue", "decode", "compute")
            )
            batch = int(response.parameters["batch"])
            self._note_load(response.parameters)
        except (wire.WireError, KeyError, TypeError, ValueError) as error:
            raise CompanionFailure(FailureReason.NONSENSE, f"{self.name} sent no usable answer: {error}") from error
        link_s = max(reply.seconds - queue_s - decode_s - compute_s, 1e-6)
        self._learn_link(reply, message.length, link_s)
        return RemoteAnswer(
            outputs=arrays,
            link_s=link_s,
            queue_s=queue_s,
            decode_s=decode_s,
            compute_s=compute_s,
            bytes_up=message.length,
            bytes_down=len(reply.body),
            batch=batch,
        )

    def _speed(self, now: float) -> Speed:
        return self._factor.read(now, self._slowdown)

    def _learn_link(self, reply: Reply, up_bytes: int, link_s: float) -> None:
        now, round_trip = time.monotonic(), self._round_trip.of(reply.round_trip_s)
        if not isinstance(round_trip, NotMeasured):
            self.link.learn_rtt(round_trip)
        transfer = split(
            link_s,
            up_bytes=up_bytes,
            down_bytes=len(reply.body) + HEADER_BYTES,
            receive_s=reply.receive_s,
            round_trip_s=round_trip,
            known=self.link.read(now),
        )
        self.link.learn(transfer, now)

    def _note_load(self, parameters: Mapping[str, Any]) -> None:
        slowdown = float(parameters["slowdown"])
        load = parameters.get("load")
        if not 1.0 <= slowdown < math.inf:
            raise ValueError(f"slowdown {slowdown}")
        self.load = None if load is None else float(load)
        self._slowdown = slowdown
