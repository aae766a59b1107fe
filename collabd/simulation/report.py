"""What the policies of a simulation come to, as one report for the table and for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from collabd.simulation.world import Outcome

# The simple ways, of which the best is what a choice has to beat.
SIMPLE = ("local", "remote_jpeg", "static")


class PolicyReport(TypedDict):
    """Means over the requests where the name does not say otherwise. Ratios are of mean latencies; None: not run."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    bytes: float
    energy_mj: float
    fidelity: float
    # How many requests stayed on the device; for how many others it started the tail while it waited for the answer,
    # and in how many of these it was first.
    local: int
    hedged: int
    late: int
    # The plan taken most often, and how often.
    plan: str
    plan_count: int
    vs_oracle: float | None
    vs_best: float | None


class SimulationReport(TypedDict):
    """One model on one trace."""

    model: str
    trace: str
    requests: int
    every_ms: float
    rtt_ms: float | None
    device_slowdown: float
    min_fidelity: float
    seed: int
    # Of the undisturbed network on the device, as it is slowed down, and on the companion.
    device_ms: float
    cloud_ms: float
    policies: dict[str, PolicyReport]


def policy_reports(runs: Mapping[str, Sequence[Outcome]]) -> dict[str, PolicyReport]:
    """Every policy beside the oracle and beside the best of the simple ones that were run."""
    means = {name: float(np.mean([outcome.latency_s for outcome in outcomes])) for name, outcomes in runs.items()}
    best = min((means[name] for name in SIMPLE if name in means), default=None)
    return {
        name: _report(outcomes, mean_s=means[name], oracle_s=means.get("oracle"), best_s=best)
        for name, outcomes in runs.items()
    }


def plan_name(outcome: Outcome) -> str:
    """Cut and codec."""
    return outcome.plan.cut if outcome.plan.cloud is None else f"{outcome.plan.cut}/{outcome.plan.codec}"


def _report(
    outcomes: Sequence[Outcome], *, mean_s: float, oracle_s: float | None, best_s: float | None
) -> PolicyReport:
    latency_ms = np.array([outcome.latency_s for outcome in outcomes]) * 1e3
    plan, count = Counter(map(plan_name, outcomes)).most_common(1)[0]
    return PolicyReport(
        mean_ms=float(latency_ms.mean()),
        p50_ms=float(np.percentile(latency_ms, 50)),
        p95_ms=float(np.percentile(latency_ms, 95)),
        bytes=float(np.mean([outcome.moved_bytes for outcome in outcomes])),
        energy_mj=float(np.mean([outcome.energy_j for outcome in outcomes])) * 1e3,
        fidelity=float(np.mean([1.0 if outcome.late else outcome.plan.fidelity for outcome in outcomes])),
        local=sum(outcome.exchange is None for outcome in outcomes),
        hedged=sum(outcome.hedged_s > 0 for outcome in outcomes),
        late=sum(outcome.late for outcome in outcomes),
        plan=plan,
        plan_count=count,
        vs_oracle=None if oracle_s is None else mean_s / oracle_s,
        vs_best=None if best_s is None else mean_s / best_s,
    )
