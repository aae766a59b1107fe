"""A budget as text, from whoever calls."""

from __future__ import annotations

import math

from collab_sdk.budget import Budget
from collab_sdk.errors import InvalidBudget

WORDS = ("ms", "us", "µs", "s", "uJ", "mJ", "J", "%", "min-latency", "min-energy", "min-cost", "max-throughput", "e-9")


def check(data: bytes) -> None:
    """`InvalidBudget`, or caps that are sound and whose text is read back to the same."""
    try:
        budget = Budget.parse(data.decode("utf-8", "surrogateescape"))
    except InvalidBudget:
        return
    for cap in (budget.latency_ms, budget.energy_mj, budget.cost, budget.fidelity):
        assert cap is None or (cap >= 0 and math.isfinite(cap))
    assert Budget.parse(str(budget)) == budget


def seeds() -> list[bytes]:
    """The forms of the manual."""
    texts = (
        "",
        "80ms",
        "0.5s",
        "500us",
        "150mJ,2%",
        "99%",
        "cost 0.002",
        "80ms, 150mJ, 99.9%, cost=0.002, min-energy",
        "1e-9J",
    )
    return [text.encode() for text in texts]
