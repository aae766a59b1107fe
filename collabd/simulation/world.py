"""What a plan really takes in a simulation: the trace's link, and both machines with this request's luck."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from collabd.planning import Candidate
from collabd.planning.energy import energy_j
from collabd.sensing.power.board import BoardPower
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Draw, Workload

_DEFAULT_RTT_S = 0.02


@dataclass(frozen=True)
class Exchange:
    """One request and its answer over the link. `late`: it was given up, and the seconds up and down are what they
    would have been."""

    began_s: float
    ended_s: float
    up_bytes: float
    down_bytes: float
    rtt_s: float
    # Each way, with half the round trip, and with what was before it in the queue.
    up_s: float
    down_s: float
    # Of the way up, what it waited for the link.
    queued_s: float = 0.0
    late: bool = False

    @property
    def moved_bytes(self) -> float:
        """Up and down."""
        return self.up_bytes + self.down_bytes

    @property
    def air_s(self) -> float:
        """For how long its bytes moved: without the round trip, and without what it waited for the link."""
        return self.up_s + self.down_s - self.rtt_s - self.queued_s

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_s - self.began_s

    @property
    def sent_s(self) -> float:
        """When the last byte had left the device, given up or not: what lies in a queue cannot be called back."""
        return self.began_s + self.up_s - self.rtt_s / 2

    def until(self, time_s: float) -> Exchange:
        """The same, given up at that time."""
        return self if self.ended_s <= time_s else replace(self, ended_s=time_s, late=True)


@dataclass(frozen=True)
class Outcome:
    """One request. `started_s` counts from the start of the trace; latency, head and tail are durations."""

    plan: Candidate
    started_s: float
    latency_s: float
    head_s: float
    tail_s: float
    energy_j: float
    exchange: Exchange | None = None
    # The device ran the tail to its end; None: it did not, or the companion was first.
    local_tail_s: float | None = None
    # How long the device worked on the tail while it waited.
    hedged_s: float = 0.0
    # When the device can run the next head: after the answer, where it first has to stop a tail that nobody needs.
    idle_at_s: float = 0.0

    @property
    def ended_s(self) -> float:
        """When the answer was there, counted from the start of the trace."""
        return self.started_s + self.latency_s

    @property
    def link_s(self) -> float:
        """Seconds on the link, whether or not an answer came."""
        return 0.0 if self.exchange is None else self.exchange.seconds - self.tail_s

    @property
    def late(self) -> bool:
        """Whether the device was first in the end."""
        return self.exchange is not None and self.exchange.late


class World:
    """A link that follows a trace both ways, and the machines of a workload."""

    def __init__(self, workload: Workload, trace: Trace, rtt_s: float | None, power: BoardPower) -> None:
        """`rtt_s` None: as the trace says, else 20 ms. Raises `ValueError` for a trace that lets nothing through."""
        if trace.finish_time(0.0, 1.0) == inf:
            raise ValueError("the trace lets nothing through")
        self.workload = workload
        self.trace = trace
        self._rtt_s = rtt_s
        self._power = power

    def exchange(
        self, began_s: float, up_bytes: float, down_bytes: float, *, work_s: float = 0.0, free_s: float = 0.0
    ) -> Exchange:
        """Send at a time, over a link that is free from `free_s` on; have the companion work; receive."""
        rtt_s = self._rtt(began_s)
        queued_s = max(free_s - began_s, 0.0)
        there_s = self.trace.finish_time(began_s + queued_s, up_bytes) + rtt_s / 2
        done_s = there_s + work_s
        back_s = self.trace.finish_time(done_s, down_bytes) + rtt_s / 2
        return Exchange(began_s, back_s, up_bytes, down_bytes, rtt_s, there_s - began_s, back_s - done_s, queued_s)

    def run(self, plan: Candidate, request: int, started_s: float, free_s: float = 0.0) -> Outcome:
        """A plan from a time on, with a link that is free from `free_s` on."""
        luck = self.workload.draw(request)
        busy_s = self._busy_s(plan, luck)
        head_s = plan.head_s * luck.device
        if plan.cloud is None:
            energy = energy_j(self._power, busy_s=busy_s, idle_s=0.0, air_s=0.0, moved_bytes=0.0)
            return Outcome(plan, started_s, busy_s, head_s, 0.0, energy)
        tail_s = (plan.decode_s + plan.tail_s) * luck.cloud
        up_bytes = self.workload.up_bytes(plan, luck)
        exchange = self.exchange(started_s + busy_s, up_bytes, plan.down_bytes, work_s=tail_s, free_s=free_s)
        latency_s = exchange.ended_s - started_s
        energy = self._energy_j(busy_s, latency_s, exchange)
        return Outcome(plan, started_s, latency_s, head_s, tail_s, energy, exchange)

    def finish_here(self, outcome: Outcome, request: int, patience_s: float) -> Outcome:
        """The same, where the device starts the tail itself so long after it sent: whoever is first wins."""
        exchange = outcome.exchange
        if exchange is None or exchange.ended_s <= exchange.began_s + patience_s:
            return outcome
        luck = self.workload.draw(request)
        work_s = self.workload.rest_s(outcome.plan, luck)
        start_s = exchange.began_s + patience_s
        end_s = min(start_s + work_s, exchange.ended_s)
        idle_s = min(start_s + work_s, exchange.ended_s + self.workload.stop_s(luck))
        latency_s, hedged_s = end_s - outcome.started_s, idle_s - start_s
        return replace(
            outcome,
            latency_s=latency_s,
            energy_j=self._energy_j(self._busy_s(outcome.plan, luck) + hedged_s, latency_s, exchange),
            exchange=exchange.until(end_s),
            local_tail_s=work_s if end_s < exchange.ended_s else None,
            hedged_s=hedged_s,
            idle_at_s=idle_s,
        )

    def _busy_s(self, plan: Candidate, luck: Draw) -> float:
        """What the device works on a plan: the image, the head, the codec."""
        return (self.workload.prep_s + plan.head_s + plan.encode_s) * luck.device

    def _rtt(self, at_s: float) -> float:
        if self._rtt_s is not None:
            return self._rtt_s
        stated = self.trace.latency_at(at_s)
        return _DEFAULT_RTT_S if stated is None else stated

    def _energy_j(self, busy_s: float, latency_s: float, exchange: Exchange) -> float:
        """The device is idle for all of a request that it does not work on."""
        return energy_j(
            self._power,
            busy_s=busy_s,
            idle_s=latency_s - busy_s,
            air_s=exchange.air_s,
            moved_bytes=exchange.moved_bytes,
        )
