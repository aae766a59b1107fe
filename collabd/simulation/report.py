"""The results of the policies in a simulation. One report serves both the table and the JSON output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np

from collabd.planning.precisions import IN_FP32
from collabd.simulation.realised import RealisedFidelity
from collabd.simulation.world import Outcome

# The fidelity that outcomes really had. None: it is not known.
Judging = Callable[[Sequence[Outcome]], RealisedFidelity | None]

# The simple policies. A policy that chooses has to beat the best of these.
SIMPLE = ("local", "local_int8", "remote_jpeg", "static")
# What an application does without a planner.
PLAIN = ("local", "local_int8", "remote_raw", "remote_jpeg")


class PolicyReport(TypedDict):
    """The results of one policy. A figure is the mean over the requests unless its name says otherwise.

    `vs_oracle`, `vs_best` and `vs_plain` are ratios of mean latencies: to the oracle, to the best of `SIMPLE`, and to
    the best of `PLAIN`. None: the policy to compare with was not run.
    """

    mean_ms: float
    p50_ms: float
    p95_ms: float
    bytes: float
    energy_mj: float
    # What the plans promised, and what the answers to the given pictures were.
    fidelity: float
    realised: RealisedFidelity | None
    # The number of requests that stayed on the device (`local`); of the others, the number for which the device started
    # the tail while it waited for the answer (`hedged`), and the number for which it finished first (`late`).
    local: int
    hedged: int
    late: int
    # The number of requests that a little network answered.
    little: int
    # The number of requests that inherited an answer. They count among those that stayed on the device.
    inherited: int
    # The plan that was taken most often, and for how many requests.
    plan: str
    plan_count: int
    vs_oracle: float | None
    vs_best: float | None
    vs_plain: float | None


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
    # The pictures that the requests show, how many there are, and the share of requests at which nothing has moved.
    pictures: str | None
    distinct: int | None
    parked: float
    # The kinds of plans that neither collabd nor the best of all plans could take.
    without: list[str]
    # The time of the whole, undisturbed network: on the slowed-down device, and on the companion.
    device_ms: float
    cloud_ms: float
    policies: dict[str, PolicyReport]


def policy_reports(runs: Mapping[str, Sequence[Outcome]], judging: Judging = lambda _: None) -> dict[str, PolicyReport]:
    """The report of every policy, compared with the oracle and with the best of the simple policies that were run."""
    means = {name: float(np.mean([outcome.latency_s for outcome in outcomes])) for name, outcomes in runs.items()}
    best, plain = (min((means[name] for name in names if name in means), default=None) for names in (SIMPLE, PLAIN))
    against = {"vs_oracle": means.get("oracle"), "vs_best": best, "vs_plain": plain}
    return {
        name: _report(
            outcomes,
            {key: None if other is None else means[name] / other for key, other in against.items()},
            realised=judging(outcomes),
        )
        for name, outcomes in runs.items()
    }


def plan_name(outcome: Outcome) -> str:
    """Cut, codec, precision and cascade of a plan, and its little network's precision. What is usual is not said."""
    plan = outcome.plan
    where = plan.cut if plan.cloud is None else f"{plan.cut}/{plan.codec}"
    precision = "" if plan.precisions == IN_FP32 else f" {plan.precisions}"
    little = plan.little
    return f"{where}{precision}" if little is None else f"{where}{precision} {little.kind} {little.precision}"


def _report(
    outcomes: Sequence[Outcome], ratios: Mapping[str, float | None], *, realised: RealisedFidelity | None
) -> PolicyReport:
    latency_ms = np.array([outcome.latency_s for outcome in outcomes]) * 1e3
    plan, count = Counter(map(plan_name, outcomes)).most_common(1)[0]
    return PolicyReport(
        mean_ms=float(latency_ms.mean()),
        p50_ms=float(np.percentile(latency_ms, 50)),
        p95_ms=float(np.percentile(latency_ms, 95)),
        bytes=float(np.mean([outcome.moved_bytes for outcome in outcomes])),
        energy_mj=float(np.mean([outcome.energy_j for outcome in outcomes])) * 1e3,
        fidelity=float(np.mean([_promised(outcome) for outcome in outcomes])),
        realised=realised,
        local=sum(outcome.exchange is None for outcome in outcomes),
        hedged=sum(outcome.hedged_s > 0 for outcome in outcomes),
        late=sum(outcome.late for outcome in outcomes),
        little=sum(outcome.little_answered for outcome in outcomes),
        inherited=sum(outcome.inherited_from is not None for outcome in outcomes),
        plan=plan,
        plan_count=count,
        vs_oracle=ratios["vs_oracle"],
        vs_best=ratios["vs_best"],
        vs_plain=ratios["vs_plain"],
    )


def _promised(outcome: Outcome) -> float:
    """A device that finishes by itself does so in the precision of the plan, and no codec comes between."""
    plan = outcome.plan
    return 1.0 if outcome.late and plan.precisions == IN_FP32 and plan.little is None else plan.fidelity
