"""Whether caps on energy and cost hold, in what is predicted and in what happens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.bench.live.device import LiveDevice
from tests.bench.live.orders import Outcome
from tests.bench.live.report import Capped
from tests.bench.table import table

_RATES_MBIT = (2.0, 5.0, 20.0)
_CALLS = 150
_MODELS = ("vgg16_cifar10", "alexnet_cifar10")


async def measure(device: LiveDevice) -> list[Capped]:
    """Print how often random caps that some plan keeps were exceeded. Returns the calls."""
    luck = random.Random(0)
    found: dict[str, list[Capped]] = {"energy": [], "cost": []}
    for rate in _RATES_MBIT:
        device.link(rate)
        for model in _MODELS:
            candidates = (await device.call(model, "file", [""] * 5)).candidates
            energies = [luck.uniform(*_range([one.energy_mj for one in candidates])) for _ in range(_CALLS)]
            costs = [luck.uniform(*_range([one.cost for one in candidates])) for _ in range(_CALLS)]
            pairs: Iterator[tuple[str, float]] = zip((f"{cap:.4f}mJ" for cap in energies), costs, strict=True)
            in_turn: list[str | float] = [budget for pair in pairs for budget in pair]
            outcomes = (await device.call(model, "file", in_turn)).outcomes
            found["energy"] += [
                Capped(kind="energy", cap=cap, predicted=one.predicted_mj, measured=one.energy_mj)
                for cap, one in zip(energies, outcomes[::2], strict=True)
                if _fits(one)
            ]
            found["cost"] += [
                Capped(kind="cost", cap=cap, predicted=one.predicted_cost, measured=one.cost)
                for cap, one in zip(costs, outcomes[1::2], strict=True)
                if _fits(one)
            ]
    rows = [(name, *_row(calls)) for name, calls in found.items()]
    print(table(("Caps", "calls that a plan fits", "predicted above", "measured above", "share"), rows))
    print()
    return [*found["energy"], *found["cost"]]


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _fits(outcome: Outcome) -> bool:
    """Whether some plan keeps the cap, which the result says."""
    return outcome.reason != "nearest"


def _row(calls: Sequence[Capped]) -> tuple[str, ...]:
    predicted = sum(call.predicted > call.cap for call in calls)
    measured = sum(call.measured > call.cap for call in calls)
    return str(len(calls)), str(predicted), str(measured), f"{measured / len(calls):.1%}"
