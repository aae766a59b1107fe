"""How a device of a fleet asks a companion: over the device's link, into the companion's own queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import msgspec
from aiohttp import hdrs

from collab_sdk import wire
from collab_sdk.errors import Overloaded
from collabd.device.companions.exchange import SLACK_BYTES, Chunks, CompanionReply, Sent
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.overhead import HEADER_BYTES
from collabd.http.error_replies import refusal
from collabd.simulation.fleet.companion import FleetCompanion
from collabd.simulation.fleet.link import DeviceLink, Sending
from collabd.simulation.inference import asked
from collabd.simulation.turn import Turn
from collabd.simulation.virtual_time import sleep_until
from collabd.simulation.workload import Workload
from collabd.simulation.world import MESSAGE_BYTES


class FleetExchange:
    """A `CompanionExchange` of the device `name`, which holds the package of the workload."""

    def __init__(
        self, name: str, companion: FleetCompanion, *, workload: Workload, link: DeviceLink, turn: Turn
    ) -> None:
        self._name = name
        self._companion = companion
        self._workload = workload
        self._link = link
        self._turn = turn

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
        del most_bytes
        if sent is not None:
            sent(sum(len(chunk) for chunk in data))
        try:
            async with asyncio.timeout(timeout_s):
                if path.endswith("/infer"):
                    return await self._infer(b"".join(data), headers or {})
                sending = self._link.up(sum(len(chunk) for chunk in data) + MESSAGE_BYTES)
                await sleep_until(sending.arrives_s)
                await self._companion.pinged()
                if method == hdrs.METH_GET:
                    return await self._reply(sending, _profile(self._workload))
                again = {"again_s": self._companion.ping_again_s(self._name)}
                return await self._reply(sending, json.dumps(self._health | again).encode())
        except TimeoutError as error:
            raise CompanionFailure(FailureReason.LATE, "the companion did not answer in time") from error

    def leave(self) -> None:
        """Do nothing: a new connection costs nothing here."""

    @property
    def _health(self) -> dict[str, float]:
        return {"load": self._companion.load, "slowdown": 1.0}

    async def _infer(self, data: bytes, headers: Mapping[str, str]) -> CompanionReply:
        workload = self._workload
        run = asked(workload, self._turn, data=data, headers=headers)
        sending = self._link.up(run.up_bytes)
        try:
            # The companion refuses what it has no room for before the body comes.
            await sleep_until(sending.first_s)
            self._companion.places.check_room(self._name, wire.patience_s(headers))
            await sleep_until(sending.arrives_s)
            took = await self._companion.answered(
                self._name,
                f"{run.plan.cut} {run.precision}",
                run.precision,
                decode_s=run.decode_s,
                run_s=run.run_s,
            )
        except Overloaded as error:
            self._link.cut_off()
            return await self._refused(sending, error)
        blanks = {name: workload.blanks[name] for name in run.outputs}
        message = run.answer(workload, blanks, took=took, health=self._health)
        return await self._reply(sending, message.body(), headers=message.headers)

    async def _refused(self, sending: Sending, error: Overloaded) -> CompanionReply:
        self._companion.refused += 1
        said = refusal(error)
        return await self._reply(sending, said.body, status=said.status, headers=said.headers)

    async def _reply(
        self, sending: Sending, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> CompanionReply:
        ended_s = self._link.down(len(body) + HEADER_BYTES / 2, sending.rtt_s)
        await sleep_until(ended_s)
        return CompanionReply(
            status=status,
            headers=headers or {},
            body=body,
            seconds=ended_s - sending.began_s,
            receive_s=sending.receive_s,
            round_trip_s=sending.rtt_s,
        )


def _profile(workload: Workload) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(workload.profile, digest=workload.package.digest))
