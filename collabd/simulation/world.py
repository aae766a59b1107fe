"""What a plan really takes in a simulation: the link follows the trace, and both machines have the request's luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from collab_sdk.vocabulary import Cascade
from collabd.device.companions.overhead import HEADER_BYTES
from collabd.planning import Candidate
from collabd.planning.candidates import AsksLittle
from collabd.planning.energy import energy_j
from collabd.sensing.power.board import BoardPower
from collabd.simulation.traces import Trace
from collabd.simulation.workload import Workload

# The bytes that HTTP adds to a message without tensors, in each direction.
MESSAGE_BYTES = HEADER_BYTES / 2
DEFAULT_RTT_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer over the link.

    `late`: the device gave the exchange up at `ended_s`. `up_s`, `down_s` and `work_s` are then the seconds that the
    exchange would have taken.
    """

    began_s: float
    ended_s: float
    up_bytes: float
    down_bytes: float
    rtt_s: float
    # Seconds for each way. They include half the round trip and the wait for earlier messages in the queue.
    up_s: float
    down_s: float
    # The part of `up_s` for which the request waited for the link.
    queued_s: float
    # The companion's work between the two ways.
    work_s: float
    late: bool = False

    @property
    def moved_bytes(self) -> float:
        """The bytes sent up and down."""
        return self.up_bytes + self.down_bytes

    @property
    def link_s(self) -> float:
        """How long the exchange took, without the companion's work."""
        return self.ended_s - self.began_s - self.work_s

    @property
    def sent_s(self) -> float:
        """When the last byte has left the device. Giving up does not change it: queued bytes cannot be called back."""
        return self.began_s + self.up_s - self.rtt_s / 2

    @property
    def air_s(self) -> float:
        """For how long bytes moved, without the round trip and without the wait for the link."""
        return self.up_s + self.down_s - self.rtt_s - self.queued_s

    def until(self, time_s: float) -> Exchange:
        """This exchange, given up at that time if it has not ended by then."""
        return self if self.ended_s <= time_s else replace(self, ended_s=time_s, late=True)

    def at(self, time_s: float) -> Exchange:
        """This exchange, moved so that it begins at that time."""
        return replace(self, began_s=time_s, ended_s=self.ended_s + time_s - self.began_s)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one request.

    `started_s` counts from the start of the trace. `latency_s` and `hedged_s` are durations in seconds.
    """

    plan: Candidate
    started_s: float
    latency_s: float
    energy_j: float
    exchanges: tuple[Exchange, ...] = ()
    # How long the device worked on the tail, or a little network, while it waited for the companion.
    hedged_s: float = 0.0
    little_answered: bool = False
    # The request whose answer this one inherited; None: it has an answer of its own.
    inherited_from: int | None = None

    @property
    def ended_s(self) -> float:
        """When the answer arrived, in seconds from the start of the trace."""
        return self.started_s + self.latency_s

    @property
    def exchange(self) -> Exchange | None:
        """The last exchange. None: nothing was sent."""
        return self.exchanges[-1] if self.exchanges else None

    @property
    def moved_bytes(self) -> float:
        """The bytes sent up and down, in all exchanges."""
        return sum(exchange.moved_bytes for exchange in self.exchanges)

    @property
    def late(self) -> bool:
        """Whether the device finished before the companion answered."""
        return not self.little_answered and any(exchange.late for exchange in self.exchanges)


class World:
    """A link that follows a trace in both directions, and the two machines of a workload."""

    def __init__(self, workload: Workload, trace: Trace, *, rtt_s: float | None, power: BoardPower) -> None:
        """`rtt_s` None: the round trip of the trace, or 20 ms if the trace states none.

        Raises `ValueError` for a trace that lets nothing through.
        """
        if trace.finish_time(0.0, 1.0) == inf:
            raise ValueError("the trace lets nothing through")
        self.workload = workload
        self.trace = trace
        self._rtt_s = rtt_s
        self._power = power

    def exchange(
        self, began_s: float, up_bytes: float, down_bytes: float, *, work_s: float = 0.0, free_s: float = 0.0
    ) -> Exchange:
        """Send at `began_s` over a link that is free from `free_s` on, have the companion work, receive the answer."""
        rtt_s = self._rtt(began_s)
        queued_s = max(free_s - began_s, 0.0)
        there_s = self.trace.finish_time(began_s + queued_s, up_bytes) + rtt_s / 2
        done_s = there_s + work_s
        back_s = self.trace.finish_time(done_s, down_bytes) + rtt_s / 2
        return Exchange(
            began_s=began_s,
            ended_s=back_s,
            up_bytes=up_bytes,
            down_bytes=down_bytes,
            rtt_s=rtt_s,
            up_s=there_s - began_s,
            down_s=back_s - done_s,
            queued_s=queued_s,
            work_s=work_s,
        )

    def run(self, plan: Candidate, request: int, started_s: float, *, free_s: float = 0.0) -> Outcome:
        """Run a plan from `started_s` on, over a link that is free from `free_s` on."""
        luck, little = self.workload.draw(request), plan.little
        first_s = 0.0 if little is None or little.kind is Cascade.RACED else little.run_s
        sure = little is not None and self._is_sure(request, little)
        if sure and first_s:
            busy_s = (self.workload.prep_s + first_s) * luck.device
            return self.outcome(plan, started_s, busy_s, busy_s=busy_s, exchanges=(), little_answered=True)
        busy_s = (self.workload.prep_s + first_s + plan.head_s + plan.encode_s) * luck.device
        if plan.cloud is None:
            return self.outcome(plan, started_s, busy_s, busy_s=busy_s, exchanges=())
        exchange = self.exchange(
            started_s + busy_s,
            self.workload.up_bytes(plan, luck),
            plan.down_bytes,
            work_s=(plan.decode_s + plan.tail_s) * luck.cloud,
            free_s=free_s,
        )
        beside_s = 0.0 if little is None or first_s else little.run_s * luck.device
        beside_s = min(beside_s, exchange.ended_s - exchange.began_s)
        wins = sure and exchange.began_s + beside_s < exchange.ended_s
        exchange = exchange.until(exchange.began_s + beside_s) if wins else exchange
        return self.outcome(
            plan,
            started_s,
            exchange.ended_s - started_s,
            busy_s=busy_s + beside_s,
            exchanges=(exchange,),
            hedged_s=beside_s,
            little_answered=wins,
        )

    def outcome(
        self,
        plan: Candidate,
        started_s: float,
        latency_s: float,
        *,
        busy_s: float,
        exchanges: Sequence[Exchange],
        hedged_s: float = 0.0,
        little_answered: bool = False,
        inherited_from: int | None = None,
    ) -> Outcome:
        """The outcome of a request.

        The device worked for `busy_s` seconds in all, of which it worked `hedged_s` seconds while it waited.
        """
        return Outcome(
            plan=plan,
            started_s=started_s,
            latency_s=latency_s,
            energy_j=energy_j(
                self._power,
                busy_s=busy_s,
                idle_s=latency_s - busy_s,
                air_s=sum(exchange.air_s for exchange in exchanges),
                moved_bytes=sum(exchange.moved_bytes for exchange in exchanges),
            ),
            exchanges=tuple(exchanges),
            hedged_s=hedged_s,
            little_answered=little_answered,
            inherited_from=inherited_from,
        )

    def _is_sure(self, request: int, little: AsksLittle) -> bool:
        shown = self.workload.shown
        return shown is not None and shown.is_little_sure(request, little.precision, little.least)

    def _rtt(self, at_s: float) -> float:
        if self._rtt_s is not None:
            return self._rtt_s
        stated = self.trace.latency_at(at_s)
        return DEFAULT_RTT_S if stated is None else stated
