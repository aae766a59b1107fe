"""How many requests pass before the plan is right again when the link or the processor changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from collab_sdk import AsyncClient, Result
from collabd.simulation.demo import Samples
from collabd.simulation.relay import Relay
from collabd.simulation.samples import Form
from tests.bench.live.bed import burning
from tests.bench.table import table

_TRIALS = 8
_BEFORE, _AFTER = 20, 20
# A plan counts as right if it is at most this many times as slow as the best plan in the end.
_RIGHT = 1.1
_PAUSE_S = 0.05
_BURNERS = 8

Plan = tuple[str, str]
Change = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """What is called, on what link, what changes, and the request from which on the plan must be right."""

    name: str
    model: str
    form: Form
    change: Change
    due: int


async def to_a_tenth_of_the_rate(client: AsyncClient, relay: Relay, samples: Samples, fast_mbit: float) -> None:
    """Print when the plans were right after a drop of the rate, and after its return."""

    @contextmanager
    def slower() -> Iterator[None]:
        relay.set_rate(fast_mbit * 1e5 / 8)
        try:
            yield
        finally:
            relay.set_rate(fast_mbit * 1e6 / 8)

    relay.set_rate(fast_mbit * 1e6 / 8)
    name = f"{fast_mbit:g} to {fast_mbit / 10:g} Mbit/s"
    await _print(
        client,
        samples,
        Case(f"{name}, efficientnet_lite0, frames", "efficientnet_lite0", "frame", slower, 2),
        Case(f"{name}, vgg16_cifar10", "vgg16_cifar10", "file", slower, 2),
    )


async def to_a_busy_processor(client: AsyncClient, relay: Relay, samples: Samples, mbit: float) -> None:
    """Print when the plans were right after other processes took the device's core, and after they left."""
    relay.set_rate(mbit * 1e6 / 8)
    await _print(
        client,
        samples,
        Case(f"{_BURNERS} processes take the core, vgg16_cifar10", "vgg16_cifar10", "file", _busy, 3),
        Case(f"{_BURNERS} processes take the core, efficientnet_lite0", "efficientnet_lite0", "file", _busy, 3),
    )


def _busy() -> AbstractContextManager[None]:
    return burning(_BURNERS)


async def _print(client: AsyncClient, samples: Samples, *cases: Case) -> None:
    rows = []
    for case in cases:
        trials = [await _trial(client, samples, case) for _ in range(_TRIALS)]
        for label, phases in (
            (case.name, [there for there, _ in trials]),
            ("  and back", [back for _, back in trials]),
        ):
            firsts = [first for first, _ in phases]
            on_time = sum(first <= case.due for first in firsts)
            settled = Counter("/".join(plan) for _, plan in phases).most_common(1)[0][0]
            rows.append((label, settled, " ".join(map(str, firsts)), f"{on_time} of {_TRIALS} by {case.due}"))
    print(table(("Right plan from request", "settles at", "of each trial", "on time"), rows))
    print(
        f"The first request behind the change is 1. Right: in the state that settles, at most {_RIGHT - 1:.0%} slower "
        "than the best plan.\n"
    )


async def _trial(client: AsyncClient, samples: Samples, case: Case) -> tuple[tuple[int, Plan], tuple[int, Plan]]:
    image = samples[case.model, case.form][0].image

    async def ask() -> Result:
        return await client.infer(image, model=case.model)

    await _calls(ask, _BEFORE)
    with case.change():
        there = await _right_from(client, ask)
    return there, await _right_from(client, ask)


async def _calls(ask: Callable[[], Awaitable[Result]], count: int) -> list[Plan]:
    plans = []
    for _ in range(count):
        result = await ask()
        plans.append((result.plan.cut, result.plan.codec))
        await asyncio.sleep(_PAUSE_S)
    return plans


async def _right_from(client: AsyncClient, ask: Callable[[], Awaitable[Result]]) -> tuple[int, Plan]:
    """The first request (from 1) after which all plans are right by the final predictions; and the last plan."""
    plans = await _calls(ask, _AFTER)
    report = await client.explain(1)
    figures = {
        (one["cut"], one["codec"]): one["predicted_ms"]
        for one in report["decisions"][0]["candidates"]
        if one["verdict"] not in {"impossible", "not-allowed", "below-fidelity"}
    }
    best = min(figures.values())
    wrong = [place for place, plan in enumerate(plans, 1) if figures.get(plan, float("inf")) > _RIGHT * best]
    return (wrong[-1] + 1 if wrong else 1), plans[-1]
