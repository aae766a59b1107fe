"""Runs requests one after the other under a virtual clock. A policy plans each request, and a world runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collabd.planning import Candidate
from collabd.simulation.world import MESSAGE_BYTES, Exchange, Outcome, World

_PING_TIMEOUT_S = 10.0


class ReplayPolicy(Protocol):
    """Plans requests and learns from their outcomes. `now` is the time in seconds from the start of the trace."""

    def choose(self, request: int, now: float, /) -> Candidate:
        """The plan of a request that starts now."""

    def learn(self, outcome: Outcome, /) -> None:
        """Learn from the outcome of the last request."""

    def probe_due(self, now: float, /) -> tuple[float, int] | None:
        """When to send the next probe of the link, and its number of bytes. None: send no probe."""

    def learn_probe(self, probe: Exchange, /) -> None:
        """Learn from what the probe took."""


def replay(world: World, policy: ReplayPolicy, every_s: float) -> list[Outcome]:
    """Run all requests of the world's workload.

    A request starts `every_s` seconds after the previous one, or when the previous one is answered, if that is later.
    """
    prober = _Prober(world, policy)
    outcomes: list[Outcome] = []
    now = 0.0
    for request in range(len(world.workload)):
        prober.run_until(now)
        outcome = world.run(policy.choose(request, now), request, now, free_s=prober.free_s)
        if outcome.exchange is not None:
            prober.free_s = max(prober.free_s, outcome.exchange.sent_s)
        outcomes.append(outcome)
        policy.learn(outcome)
        now = max(now + every_s, outcome.ended_s)
    return outcomes


class _Prober:
    """Sends probes when they are due, as the daemon does, and knows when the link is free.

    A probe or request that is sent before the link is free waits for it.
    """

    def __init__(self, world: World, policy: ReplayPolicy) -> None:
        self._world = world
        self._policy = policy
        self._clock = 0.0
        self._flying: Exchange | None = None
        self.free_s = 0.0

    def run_until(self, now: float) -> None:
        """Send and receive what is due by now."""
        while self._receive(now) and self._send(now):
            pass

    def _receive(self, now: float) -> bool:
        """Take in the probe on its way, if it has ended by `now`. True: no probe is on its way any more."""
        probe = self._flying
        if probe is not None and probe.ended_s <= now:
            self._flying, self._clock = None, probe.ended_s
            self._policy.learn_probe(probe)
        return self._flying is None

    def _send(self, now: float) -> bool:
        """Send a probe if one is due by `now`. True: a probe was due."""
        due = self._policy.probe_due(self._clock)
        if due is None or max(due[0], self._clock) > now:
            self._clock = now
            return False
        sent_s = max(due[0], self._clock)
        probe = self._world.exchange(sent_s, due[1] + MESSAGE_BYTES, MESSAGE_BYTES, free_s=self.free_s)
        self.free_s = probe.sent_s
        self._flying = probe.until(sent_s + _PING_TIMEOUT_S)
        return True


def mean_latency_s(outcomes: Sequence[Outcome]) -> float:
    """The mean latency of all requests, in seconds."""
    return sum(outcome.latency_s for outcome in outcomes) / len(outcomes)
