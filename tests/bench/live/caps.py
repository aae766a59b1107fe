"""Whether caps on energy and cost hold, in what is predicted and in what happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from collab_sdk import AsyncClient, Result
from collabd.simulation.demo import Samples
from collabd.simulation.relay import Relay
from tests.bench.table import table

_RATES_MBIT = (2.0, 5.0, 20.0)
_CALLS = 150
_MODELS = ("vgg16_cifar10", "alexnet_cifar10")


@dataclass(frozen=True)
class _Capped:
    cap: float
    predicted: float
    measured: float


async def measure(client: AsyncClient, relay: Relay, samples: Samples) -> None:
    """Print how often random caps that some plan keeps were exceeded."""
    luck = random.Random(0)
    found: dict[str, list[_Capped]] = {"energy": [], "cost": []}
    for rate in _RATES_MBIT:
        relay.set_rate(rate * 1e6 / 8)
        for model in _MODELS:
            images = [sample.image for sample in samples[model, "file"]]
            for _ in range(5):
                await client.infer(images[0], model=model)
            energy, cost = await _ranges(client)
            for turn in range(_CALLS):
                cap_mj, cap = luck.uniform(*energy), luck.uniform(*cost)
                image = images[turn % len(images)]
                found["energy"] += _kept(await client.infer(image, f"{cap_mj:.4f}mJ", model=model), cap_mj, "energy")
                found["cost"] += _kept(await client.infer(image, cap, model=model), cap, "cost")
    rows = [(name, *_row(calls)) for name, calls in found.items()]
    print(table(("Caps", "calls that a plan fits", "predicted above", "measured above", "share"), rows))
    print()


async def _ranges(client: AsyncClient) -> tuple[tuple[float, float], tuple[float, float]]:
    """Energy (mJ) and cost of the last decision's candidates, from least to most."""
    candidates = (await client.explain(1))["decisions"][0]["candidates"]
    energies, costs = [one["energy_mj"] for one in candidates], [one["cost"] for one in candidates]
    return (min(energies), max(energies)), (min(costs), max(costs))


def _kept(result: Result, cap: float, name: str) -> list[_Capped]:
    """None where no plan fits, which the result says."""
    if result.plan.reason == "nearest":
        return []
    energy = name == "energy"
    predicted = result.predicted.energy_mj if energy else result.predicted.cost
    return [_Capped(cap, predicted or 0.0, result.energy_mj if energy else result.cost)]


def _row(calls: Sequence[_Capped]) -> tuple[str, ...]:
    predicted = sum(call.predicted > call.cap for call in calls)
    measured = sum(call.measured > call.cap for call in calls)
    return str(len(calls)), str(predicted), str(measured), f"{measured / len(calls):.1%}"
