"""The link of one device of a fleet. It follows a trace from some moment on, and leads to all of its companions."""

from __future__ import annotations

from dataclasses import dataclass

from collabd.clock import Clock
from collabd.simulation.simulated_companion import FIRST_BYTES
from collabd.simulation.traces import Trace
from collabd.simulation.world import DEFAULT_RTT_S


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A message on its way up: when its first packet and its last one arrive, in seconds on the clock."""

    began_s: float
    first_s: float
    arrives_s: float
    rtt_s: float

    @property
    def receive_s(self) -> float:
        """Seconds from the first packet, which holds the headers, to the end."""
        return self.arrives_s - self.first_s


class DeviceLink:
    """What is sent waits until all earlier messages are through. `offset_s`: where in the trace the link begins."""

    def __init__(self, trace: Trace, *, rtt_s: float | None, offset_s: float, clock: Clock) -> None:
        self._trace = trace
        self._rtt_s = rtt_s
        self._clock = clock
        # No time of the trace may be negative, and simulations begin before 0.
        self._offset_s = offset_s - clock()
        self._free_s = clock()

    def up(self, nbytes: float) -> Sending:
        """Send so many bytes now."""
        now_s = self._clock()
        start_s, rtt_s = max(now_s, self._free_s), self._rtt(now_s)
        self._free_s = self._finish(start_s, nbytes)
        first_s = self._finish(start_s, min(nbytes, FIRST_BYTES))
        return Sending(began_s=now_s, first_s=first_s + rtt_s / 2, arrives_s=self._free_s + rtt_s / 2, rtt_s=rtt_s)

    def cut_off(self) -> None:
        """Nobody reads what is on its way now: the rest of it is not sent."""
        self._free_s = min(self._free_s, self._clock())

    def down(self, nbytes: float, rtt_s: float) -> float:
        """When a reply that leaves the companion now has come."""
        return self._finish(self._clock(), nbytes) + rtt_s / 2

    def _finish(self, start_s: float, nbytes: float) -> float:
        return self._trace.finish_time(start_s + self._offset_s, nbytes) - self._offset_s

    def _rtt(self, at_s: float) -> float:
        if self._rtt_s is not None:
            return self._rtt_s
        stated = self._trace.latency_at(at_s + self._offset_s)
        return DEFAULT_RTT_S if stated is None else stated
