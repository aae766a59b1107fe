"""The policies that collabd is compared with. None of them looks into the future but the oracle and the best static."""

from __future__ import annotations

import numpy as np

from collabd.planning import Candidate, Candidates
from collabd.sensing.link.estimate import FIRST_S_PER_BYTE
from collabd.simulation.world import Exchange, Outcome, World


class _Blind:
    """Learns nothing and probes nothing."""

    def learn(self, _: Outcome) -> None:
        """Nothing."""

    def probe_due(self, _: float) -> None:
        """Never."""

    def learn_probe(self, _: Exchange) -> None:
        """Nothing."""


class Fixed(_Blind):
    """The same plan always: all on the device, or the image always sent."""

    def __init__(self, plan: Candidate) -> None:
        self._plan = plan

    def choose(self, _: int, __: float) -> Candidate:
        """The plan."""
        return self._plan


class Oracle(_Blind):
    """Knows what every plan will take for the request at hand, and takes the fastest."""

    def __init__(self, world: World, plans: tuple[Candidate, ...]) -> None:
        self._world = world
        self._plans = plans

    def choose(self, request: int, now: float) -> Candidate:
        """The fastest plan."""
        return min(self._plans, key=lambda plan: self._world.run(plan, request, now).latency_s)


class LastBandwidth:
    """Neurosurgeon on a chain's plans, DADS on a graph's: head + bytes / bandwidth as last measured + tail.

    Kang et al., ASPLOS 2017; Hu et al., INFOCOM 2019, whose minimum cut for one request at a time is the least of this
    sum. Neither compresses, nor counts the round trip, nor gives up waiting. The bandwidth is measured, exactly and
    without the round trip, by each transfer and, where none was made for long, by the same probes that collabd sends.
    """

    def __init__(self, plans: Candidates, *, slowdown: float, probe_bytes: int, stale_s: float) -> None:
        self._plans = plans.rows
        self._fixed_s = plans.head_s * slowdown + plans.tail_s
        self._bytes = np.where(plans.local, 0.0, plans.up_bytes)
        self._s_per_byte = FIRST_S_PER_BYTE
        self._measured_at = -stale_s
        self._probe_bytes = probe_bytes
        self._stale_s = stale_s

    def choose(self, _: int, __: float) -> Candidate:
        """The least of the sum."""
        return self._plans[int(np.argmin(self._fixed_s + self._bytes * self._s_per_byte))]

    def learn(self, outcome: Outcome) -> None:
        """The bandwidth of its transfer."""
        if outcome.exchange is not None:
            self.learn_probe(outcome.exchange)

    def probe_due(self, now: float) -> tuple[float, int] | None:
        """When the bandwidth is stale."""
        return max(now, self._measured_at + self._stale_s), self._probe_bytes

    def learn_probe(self, probe: Exchange) -> None:
        """The bandwidth of a probe."""
        self._s_per_byte = (probe.link_s - probe.rtt_s) / probe.moved_bytes
        self._measured_at = probe.ended_s
