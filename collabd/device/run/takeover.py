"""Who answers a step whose companion has failed: another companion, or this device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from collab_sdk.vocabulary import Fallback
from collabd.device.job.job import Standby
from collabd.device.run.under_way import UnderWay
from collabd.planning.caps import Caps
from collabd.planning.energy import energy_j
from collabd.planning.takeover import Finish, keeps, takes_over

if TYPE_CHECKING:
    # It asks who is next.
    from collabd.device.run.crossings import Crossings, Errand


def next_companion(standbys: Sequence[Standby], errand: Errand, crossings: Crossings) -> Standby | None:
    """The companion that is expected to answer first, of those that are up. None: the device finishes the call.

    If the job forbids the device to finish, any companion that keeps the caps is better than none.
    """
    call = crossings.call
    job, left = call.job, _left(call, crossings.left_s)
    offers = [(there, standby) for standby, there in _offers(standbys, errand, call)]
    if job.fallback == Fallback.LOCAL:
        here, slow_s = _here(errand, crossings), crossings.rest_s(errand.crossing, job.slow)
        offers = [offer for offer in offers if takes_over(offer[0], here, left, slow_s=slow_s)]
    else:
        offers = [offer for offer in offers if keeps(offer[0], left)]
    return min(offers, key=lambda offer: offer[0].seconds)[1] if offers else None


def _offers(standbys: Sequence[Standby], errand: Errand, call: UnderWay) -> Iterator[tuple[Standby, Finish]]:
    """What those that are up would take."""
    device = call.job.device
    for standby in standbys:
        there = standby.companion.state_for(errand.question.digest)
        if not there.up:
            continue
        moved_bytes = errand.sent_bytes + errand.down_bytes
        link_s = there.rtt_s + errand.sent_bytes * there.up_s_per_byte + errand.down_bytes * there.down_s_per_byte
        asking_s = device.asking_s + device.asking_s_per_byte * errand.sent_bytes
        wait_s = errand.wait(standby, there).median_s
        yield (
            standby,
            Finish(
                seconds=asking_s + wait_s,
                energy_j=energy_j(
                    device,
                    busy_s=asking_s,
                    idle_s=wait_s,
                    air_s=standby.companion.air_s(link_s),
                    moved_bytes=float(moved_bytes),
                ),
                cost=standby.companion.cost(moved_bytes, errand.step_of(standby).run_s * there.speed),
            ),
        )


def _here(errand: Errand, crossings: Crossings) -> Finish:
    """What this device would take, once the calls before this one have left the lane."""
    call, device = crossings.call, crossings.call.job.device
    runs_s, waits_s = crossings.rest_s(errand.crossing, device.speed), call.lane.wait_s(crossings.left_s)
    joules = energy_j(device, busy_s=runs_s, idle_s=waits_s, air_s=0.0, moved_bytes=0.0)
    return Finish(seconds=waits_s + runs_s, energy_j=joules)


def _left(call: UnderWay, left_s: float | None) -> Caps:
    """What is left of the caps."""
    caps, record, device = call.job.caps, call.record, call.job.device
    spent_j = record.energy_j(device, record.clock() - record.started)
    return replace(
        caps,
        latency_s=left_s,
        energy_j=None if caps.energy_j is None else caps.energy_j - spent_j,
        cost=None if caps.cost is None else caps.cost - record.cost,
    )
