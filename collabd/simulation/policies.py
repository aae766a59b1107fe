"""The policies that collabd is compared with. Only the oracle and the best static plan know the future."""

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
    """Always takes the same plan, whatever the link does."""

    def __init__(self, plan: Candidate) -> None:
        self._plan = plan

    def choose(self, _: int, __: float) -> Candidate:
        """The plan."""
        return self._plan


class Oracle(_Blind):
    """Knows how long every plan will take for the request at hand, and takes the fastest plan."""

    def __init__(self, world: World, plans: tuple[Candidate, ...]) -> None:
        self._world = world
        self._plans = plans

    def choose(self, request: int, now: float) -> Candidate:
        """The fastest plan."""
        return min(self._plans, key=lambda plan: self._world.run(plan, request, now).latency_s)


class LastBandwidth:
    """Takes the plan with the least head + bytes / bandwidth + tail, with the bandwidth as last measured.

    On the plans of a chain this is Neurosurgeon (Kang et al., ASPLOS 2017). On the plans of a graph it is DADS (Hu et
    al., INFOCOM 2019), whose minimum cut has the least such sum when requests come one at a time. Neither paper
    compresses, counts the round trip, or gives up waiting. Each transfer measures the bandwidth exactly, without the
    round trip. When there was no transfer for `stale_s` seconds, a probe measures the bandwidth. This probe has the
    size of collabd's own probes, `probe_bytes` bytes.
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
        """The plan with the least sum."""
        return self._plans[int(np.argmin(self._fixed_s + self._bytes * self._s_per_byte))]

    def learn(self, outcome: Outcome) -> None:
        """Take the bandwidth from the transfer of this request."""
        if outcome.exchange is not None:
            self.learn_probe(outcome.exchange)

    def probe_due(self, now: float) -> tuple[float, int] | None:
        """A probe is due when the bandwidth is stale."""
        return max(now, self._measured_at + self._stale_s), self._probe_bytes

    def learn_probe(self, probe: Exchange) -> None:
        """Take the bandwidth from a probe."""
        self._s_per_byte = (probe.link_s - probe.rtt_s) / probe.moved_bytes
        self._measured_at = probe.ended_s
