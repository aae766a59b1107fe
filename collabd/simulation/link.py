"""One direction of a link as a schedule: packets queue, are sent one after the other at the rate, and arrive later.

The schedule has no clock. The caller passes the time in, so the relay and the tests can use the same arithmetic.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from collabd.simulation.traces import Trace

T = TypeVar("T")


@dataclass
class _Packet(Generic[T]):
    queued_s: float
    nbytes: float
    item: T


class ShapedLink(Generic[T]):
    """A FIFO queue, then a sender of limited rate, then a propagation delay. All times are in seconds."""

    def __init__(self, rate: Trace, delay_s: float | None, now: float) -> None:
        """`rate` begins at `now`. `delay_s` None: half the round-trip time of the trace, or 0 if it states none."""
        self._rate = rate
        self._begin_s = now
        self._delay_s = delay_s
        self._waiting: deque[_Packet[T]] = deque()
        self._flying: deque[tuple[float, T]] = deque()
        self._free_s = now
        self._stopped = False
        self.queued_bytes: float = 0

    def send(self, now: float, nbytes: int, item: T) -> None:
        """Queue an item that takes `nbytes` of the link."""
        self._waiting.append(_Packet(now, nbytes, item))
        self.queued_bytes += nbytes

    def arrivals(self, now: float) -> list[T]:
        """The items that have arrived by now, in the order in which they were sent."""
        self._transmit(now)
        arrived = []
        while self._flying and self._flying[0][0] <= now:
            arrived.append(self._flying.popleft()[1])
        return arrived

    def next_event(self) -> float:
        """When the next item leaves the queue or arrives. Infinity: never."""
        arrival = self._flying[0][0] if self._flying else math.inf
        return min(arrival, self._departure())

    def delay(self, now: float) -> float:
        """The propagation delay in seconds."""
        if self._delay_s is not None:
            return self._delay_s
        return (self._rate.latency_at(now - self._begin_s) or 0.0) / 2

    def set_delay(self, delay_s: float | None) -> None:
        """Set the delay for items that leave the queue from now on. No item overtakes one that left before it."""
        self._delay_s = delay_s

    def set_rate(self, now: float, rate: Trace) -> None:
        """Set a new rate, which begins now. The rest of a half-sent packet is sent at the new rate."""
        self._settle(now)
        self._rate, self._begin_s = rate, now

    def stop(self, now: float) -> None:
        """Send nothing until `resume`. Queued packets stay queued."""
        self._settle(now)
        self._stopped = True

    def resume(self, now: float) -> None:
        """Undo `stop`."""
        if self._stopped:
            self._stopped, self._free_s = False, max(now, self._free_s)

    def _departure(self) -> float:
        """When the last byte of the first packet in the queue is sent."""
        if not self._waiting or self._stopped:
            return math.inf
        packet = self._waiting[0]
        start = max(packet.queued_s, self._free_s) - self._begin_s
        return self._begin_s + self._rate.finish_time(start, packet.nbytes)

    def _transmit(self, now: float) -> None:
        # A packet leaves at its scheduled time, not at `now`, so the link loses no time when the caller comes late.
        while (end := self._departure()) <= now:
            packet = self._waiting.popleft()
            self.queued_bytes -= packet.nbytes
            self._free_s = end
            arrival = end + self.delay(end)
            self._flying.append((max(arrival, self._flying[-1][0] if self._flying else arrival), packet.item))

    def _settle(self, now: float) -> None:
        """Account for the bytes that the present rate has sent up to now, including a part of a packet."""
        self._transmit(now)
        if not self._waiting or self._stopped:
            return
        packet = self._waiting[0]
        start = max(packet.queued_s, self._free_s)
        if start < now:
            sent = min(packet.nbytes, self._rate.bytes_between(start - self._begin_s, now - self._begin_s))
            packet.nbytes -= sent
            self.queued_bytes -= sent
            self._free_s = now
