"""Parts of the device daemon for tests, put together as the daemon does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from collabd.clock import MONOTONIC, Clock
from collabd.config import CloudSettings, DeviceConfig, EnergySettings, FailoverSettings, LinkSettings
from collabd.device.call.learned import Learned
from collabd.device.companions.companion import Companion
from collabd.device.companions.connections import Connections
from collabd.device.companions.exchange import SLACK_BYTES, Chunks, CompanionReply, Sent
from collabd.device.companions.http_exchange import HttpExchange
from collabd.device.decide.placement_search import FindPlacement, placed
from collabd.device.decide.planner import Planner
from collabd.device.fidelity.ledger import Ledger
from collabd.device.job.job import CallRecord
from collabd.device.models.model import DeviceModel
from collabd.device.senses import Senses
from collabd.sensing.estimates.overhead import Overheads
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.sensed_machine import SHOWS_NOTHING


class NoExchange:
    """The exchange of a companion that only plans reckon with."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: Chunks = (),  # noqa: ARG002
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
        timeout_s: float | None = None,  # noqa: ARG002
        most_bytes: int = SLACK_BYTES,  # noqa: ARG002
        sent: Sent | None = None,  # noqa: ARG002
    ) -> CompanionReply:
        raise AssertionError(f"{method} {path}: nobody is to be asked here")

    def leave(self) -> None:
        pass


def companion_at(
    url: str,
    connections: Connections,
    failover: FailoverSettings | None = None,
    *,
    clock: Clock = MONOTONIC,
) -> Companion:
    """The companion "pc", asked over HTTP."""
    exchange = HttpExchange("pc", url, connections)
    settings = CloudSettings(name="pc", url=url), LinkSettings(), failover or FailoverSettings()
    return Companion(*settings, exchange=exchange, clock=clock)


def planner_of(
    config: DeviceConfig,
    companions: Sequence[Companion],
    *,
    slowdown: float = 1.0,
    lane_wait_s: Callable[[float | None], float] = lambda _: 0.0,
    clock: Clock = MONOTONIC,
    find_placement: FindPlacement = placed,
    ledger: Ledger | None = None,
    little_of: Callable[[DeviceModel], DeviceModel | None] = lambda _: None,
    overheads: Overheads | None = None,
) -> Planner:
    """A planner on a Pi 4 that has learned nothing yet, but that runs take `slowdown` times as long as profiled."""
    learned = Learned(SpeedFactor(slowdown), clock=clock)
    return Planner(
        config,
        companions,
        Senses(EnergySettings(board="pi4"), SHOWS_NOTHING),
        speed=learned.speed,
        overheads=overheads or learned.overheads,
        past_plans=learned.past_plans,
        lane_wait_s=lane_wait_s,
        catch_up=lambda: None,
        fidelities_of=(ledger or Ledger(None)).of,
        little_of=little_of,
        clock=clock,
        find_placement=find_placement,
    )


def new_record() -> CallRecord:
    """That of a call which begins now."""
    return CallRecord(MONOTONIC, MONOTONIC())
