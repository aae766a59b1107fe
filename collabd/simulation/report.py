"""The results of the policies in a simulation. One report serves both the table and the JSON output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from collabd.simulation.world import Outcome

# The simple policies. A policy that chooses has to beat the best of these.
SIMPLE = ("local", "remote_jpeg", "static")


class PolicyReport(TypedDict):
    """The results of one policy. A figure is the mean over the requests unless its name says otherwise.

    `vs_oracle` and `vs_best` are ratios of mean latencies: to the oracle, and to the best of `SIMPLE`. None: the policy
    to compare with was not run.
    """

    mean_ms: float
    p50_ms: float
    p95_ms: float
    bytes: float
    energy_mj: float
    fidelity: float
    # The number of requests that stayed on the device (`local`); of the others, the number for which the device started
    # the tail while it waited for the answer (`hedged`), and the number for which it finished first (`late`).
    local: int
    hedged: int
    late: int
    # The plan that was taken most often, and for how many requests.
    plan: str
    plan_count: int
    vs_oracle: float | None
    vs_best: float | None


class SimulationReport(TypedDict):
    """The results of all policies, for one model on one trace."""

    model: str
    trace: str
    requests: int
    every_ms: float
    rtt_ms: float | None
    device_slowdown: float
    min_fidelity: float
    seed: int
    # The time of the whole, undisturbed network: on the slowed-down device, and on the companion.
    device_ms: float
    cloud_ms: float
    policies: dict[str, PolicyReport]


def policy_reports(runs: Mapping[str, Sequence[Outcome]]) -> dict[str, PolicyReport]:
    """The report of every policy, compared with the oracle and with the best of the simple policies that were run."""
    means = {name: float(np.mean([outcome.latency_s for outcome in outcomes])) for name, outcomes in runs.items()}
    best = min((means[name] for name in SIMPLE if name in means), default=None)
    return {
        name: _report(outcomes, mean_s=means[name], oracle_s=means.get("oracle"), best_s=best)
        for name, outcomes in runs.items()
    }


def plan_name(outcome: Outcome) -> str:
    """The cut and the codec of a plan; for a plan that stays on the device, only the cut."""
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
