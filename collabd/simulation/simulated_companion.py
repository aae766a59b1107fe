"""A companion in a simulation. It answers after the time that the link of the trace and its own work take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from collabd.clock import Clock
from collabd.device.companions.exchange import SLACK_BYTES, Chunks, CompanionReply, Sent
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.overhead import HEADER_BYTES
from collabd.simulation.inference import SimulatedRequest, Took, asked
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.workload import Workload
from collabd.simulation.world import MESSAGE_BYTES, Exchange, World

# The part of a body that comes in one packet with the headers. The companion counts only the time of the rest.
FIRST_BYTES = 1100
_WELL = {"load": 0.0, "slowdown": 1.0}


class SimulatedLink:
    """The link of the world while it is in use. A message waits until all earlier messages are through.

    Before time 0 the link is as it is in the first moment of the trace.
    """

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._free_s = clock()

    def exchange(self, up_bytes: float, down_bytes: float, *, work_s: float = 0.0) -> Exchange:
        """The exchange of a request that is sent now."""
        now_s = self._clock()
        early_s = min(now_s, 0.0)
        free_s = self._free_s - early_s
        exchange = self._world.exchange(now_s - early_s, up_bytes, down_bytes, work_s=work_s, free_s=free_s).at(now_s)
        self._free_s = max(self._free_s, exchange.sent_s)
        return exchange

    def receive_s(self, exchange: Exchange, body_bytes: int) -> float:
        """Seconds from the first packet of the request, which holds the headers, to the end of its body."""
        rest_bytes = max(body_bytes - FIRST_BYTES, 0)
        began_s = max(exchange.began_s, 0.0) + exchange.queued_s
        first_s = self._world.trace.finish_time(began_s, exchange.up_bytes - rest_bytes)
        return max(self._world.trace.finish_time(began_s, exchange.up_bytes) - first_s, 0.0)


class SimulatedCompanion:
    """A `CompanionExchange` with a companion that holds the package of the workload.

    The companion is never too busy. Its work takes the times of the profile, multiplied by the luck of the request.
    """

    def __init__(self, workload: Workload, link: SimulatedLink, turn: Turn) -> None:
        self._workload = workload
        self._link = link
        self._turn = turn
        self._blanks = workload.blanks
        digest = workload.package.digest
        self._profile = msgspec.json.encode(msgspec.structs.replace(workload.profile, digest=digest))
        # The exchanges of inference requests. Pings, probes and downloads of the profile are not among them.
        self.answered: list[Exchange] = []

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: Chunks = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        most_bytes: int = SLACK_BYTES,
        sent: Sent | None = None,
    ) -> CompanionReply:
        """Answer when the exchange ends. Raises `CompanionFailure` when it takes longer than `timeout_s` seconds."""
        del most_bytes, sent
        try:
            async with asyncio.timeout(timeout_s):
                if path.endswith("/infer"):
                    return await self._infer(b"".join(data), headers or {})
                body = self._profile if method == "GET" else json.dumps(_WELL).encode()
                up_bytes = sum(len(chunk) for chunk in data)
                exchange = self._link.exchange(up_bytes + MESSAGE_BYTES, len(body) + MESSAGE_BYTES)
                await sleep_until(exchange.ended_s)
                return self._reply(exchange, up_bytes, body)
        except TimeoutError as error:
            raise CompanionFailure(FailureReason.LATE, "the companion did not answer in time") from error

    def leave(self) -> None:
        """Do nothing: a new connection costs nothing here."""

    async def _infer(self, data: bytes, headers: Mapping[str, str]) -> CompanionReply:
        workload = self._workload
        run = asked(workload, self._turn, data=data, headers=headers)
        took = Took(queue_s=0.0, decode_s=run.decode_s, compute_s=run.run_s, batch=1)
        message = run.answer(workload, self._outputs(run), took=took, health=_WELL)
        ends = {*run.outputs} <= {*workload.package.manifest.output_names}
        down_bytes = run.plan.down_bytes if ends else message.length + HEADER_BYTES
        exchange = self._link.exchange(run.up_bytes, down_bytes, work_s=run.decode_s + run.run_s)
        try:
            await sleep_until(exchange.ended_s)
        finally:
            self.answered.append(exchange.until(asyncio.get_running_loop().time()))
        return self._reply(exchange, len(data), message.body(), headers=message.headers)

    def _outputs(self, run: SimulatedRequest) -> Mapping[str, npt.NDArray[np.generic]]:
        shown = self._workload.shown
        if shown is None or not {*self._workload.package.manifest.output_names} <= {*run.outputs}:
            return {name: self._blanks[name] for name in run.outputs}
        row = self._workload.row(run.feeds, run.codec, head=self._turn.head, tail=run.precision)
        return shown.outputs(row, self._turn.request)

    def _reply(
        self, exchange: Exchange, body_bytes: int, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> CompanionReply:
        return CompanionReply(
            status=200,
            headers=headers or {},
            body=body,
            seconds=exchange.ended_s - exchange.began_s,
            receive_s=self._link.receive_s(exchange, body_bytes),
            round_trip_s=exchange.rtt_s,
        )
