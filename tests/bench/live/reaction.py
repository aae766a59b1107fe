"""How many requests pass before the plan is right again when the link or the processor changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from collab_sdk import AsyncClient, Result
from collabd.simulation.demo import Samples
from collabd.simulation.relay import Relay
from tests.bench.live.bed import burning
from tests.bench.table import table

_TRIALS = 8
_BEFORE, _AFTER = 15, 20
# Of what settles in the end, this much worse than the best is still right.
_RIGHT = 1.1
_PAUSE_S = 0.05
_FAST_MBIT, _SLOW_MBIT = 20.0, 2.0
_BURNERS = 3

Ask = Callable[[], Awaitable[Result]]
Change = Callable[[], AbstractContextManager[None]]


async def measure(client: AsyncClient, relay: Relay, samples: Samples) -> None:
    """Print, for each change, from which request on the plans were right."""

    async def vgg() -> Result:
        return await client.infer(samples["vgg16_cifar10", "file"][0].image, model="vgg16_cifar10")

    async def frame() -> Result:
        return await client.infer(samples["efficientnet_lite0", "frame"][0].image, model="efficientnet_lite0")

    @contextmanager
    def slower() -> Iterator[None]:
        relay.set_rate(_SLOW_MBIT * 1e6 / 8)
        try:
            yield
        finally:
            relay.set_rate(_FAST_MBIT * 1e6 / 8)

    relay.set_rate(_FAST_MBIT * 1e6 / 8)
    rows = []
    for name, ask, change in (
        (f"{_FAST_MBIT:g} to {_SLOW_MBIT:g} Mbit/s, efficientnet_lite0, frames", frame, slower),
        (f"{_BURNERS} processes take the core, alexnet_cifar10", _alexnet(client, samples), _busy),
        (f"{_BURNERS} processes take the core, vgg16_cifar10", vgg, _busy),
    ):
        trials = [await _trial(client, ask, change) for _ in range(_TRIALS)]
        rows += [(name, *_row([there for there, _ in trials])), ("  and back", *_row([back for _, back in trials]))]
    print(table(("Right plan from request", "of each trial", "median", "worst"), rows))
    print(
        f"The first request behind the change is 1. Right: in the state that settles, at most {_RIGHT - 1:.0%} slower "
        f"than the best plan.\n"
    )


def _alexnet(client: AsyncClient, samples: Samples) -> Ask:
    async def ask() -> Result:
        return await client.infer(samples["alexnet_cifar10", "file"][0].image, model="alexnet_cifar10")

    return ask


def _busy() -> AbstractContextManager[None]:
    return burning(_BURNERS)


async def _trial(client: AsyncClient, ask: Ask, change: Change) -> tuple[int, int]:
    await _calls(ask, _BEFORE)
    with change():
        there = await _right_from(client, ask)
    return there, await _right_from(client, ask)


async def _calls(ask: Ask, count: int) -> list[tuple[str, str]]:
    plans = []
    for _ in range(count):
        result = await ask()
        plans.append((result.plan.cut, result.plan.codec))
        await asyncio.sleep(_PAUSE_S)
    return plans


async def _right_from(client: AsyncClient, ask: Ask) -> int:
    """The number of the first request from which all plans are right, by what is predicted in the end."""
    plans = await _calls(ask, _AFTER)
    report = await client.explain(1)
    figures = {
        (one["cut"], one["codec"]): one["predicted_ms"]
        for one in report["decisions"][0]["candidates"]
        if one["verdict"] not in {"impossible", "not-allowed", "below-fidelity"}
    }
    best = min(figures.values())
    wrong = [place for place, plan in enumerate(plans, 1) if figures.get(plan, float("inf")) > _RIGHT * best]
    return wrong[-1] + 1 if wrong else 1


def _row(firsts: list[int]) -> tuple[str, ...]:
    ordered = sorted(firsts)
    return " ".join(map(str, firsts)), str(ordered[len(ordered) // 2]), str(ordered[-1])
