"""How many requests pass before the plan is right again when the link or the processor changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from collabd.simulation.samples import Form
from tests.bench.live.device import HEAVY, LiveDevice
from tests.bench.live.orders import Report
from tests.bench.live.report import Reaction
from tests.bench.table import table

# A plan counts as right if it is at most this many times as slow as the best plan in the end.
_RIGHT = 1.1
DUE = 3
_FAST_MBIT = 50.0
_BURNERS = 8

Plan = tuple[str, str]
Change = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """What is called, what changes, and how often: so many calls before the change and behind it, in each trial."""

    name: str
    model: str
    form: Form
    change: Change
    budget: str = ""
    pause_s: float = 0.1
    calls: int = 20
    trials: int = 8


async def to_another_rate(device: LiveDevice) -> list[Reaction]:
    """Print when the plans were right after a drop of the rate, and after its return."""

    def slower(mbit: float) -> Change:
        @contextmanager
        def change() -> Iterator[None]:
            device.link(mbit)
            try:
                yield
            finally:
                device.link(_FAST_MBIT)

        return change

    device.link(_FAST_MBIT)
    fast = f"{_FAST_MBIT:g} to"
    return await _print(
        device,
        Case(f"{fast} 5 Mbit/s, {HEAVY}, frames", HEAVY, "frame", slower(5)),
        Case("  the same, a call a second", HEAVY, "frame", slower(5), pause_s=1.0, calls=8, trials=3),
        Case(f"{fast} 1 Mbit/s, {HEAVY}, frames, any fidelity", HEAVY, "frame", slower(1), budget="0%"),
        Case(f"{fast} 5 Mbit/s, efficientnet_lite0, files", "efficientnet_lite0", "file", slower(5)),
    )


async def to_a_busy_processor(device: LiveDevice) -> list[Reaction]:
    """Print when the plans were right after other processes took the device's time, and after they left."""

    def busy() -> AbstractContextManager[None]:
        return device.burning(_BURNERS)

    device.link(_FAST_MBIT)
    name = f"{_BURNERS} processes take the device"
    return await _print(
        device,
        Case(f"{name}, vgg16_cifar10", "vgg16_cifar10", "file", busy),
        Case(f"{name}, efficientnet_lite0", "efficientnet_lite0", "file", busy),
    )


async def _print(device: LiveDevice, *cases: Case) -> list[Reaction]:
    rows, found = [], []
    for case in cases:
        trials = [await _trial(device, case) for _ in range(case.trials)]
        firsts_of = [[first for first, _ in phases] for phases in zip(*trials, strict=True)]
        found.append(Reaction(name=case.name, there=firsts_of[0], back=firsts_of[1]))
        for label, phases in (
            (case.name, [there for there, _ in trials]),
            ("  and back", [back for _, back in trials]),
        ):
            firsts = [first for first, _ in phases]
            on_time = sum(first <= DUE for first in firsts)
            settled = Counter("/".join(plan) for _, plan in phases).most_common(1)[0][0]
            rows.append((label, settled, " ".join(map(str, firsts)), f"{on_time} of {case.trials} by {DUE}"))
    print(table(("Right plan from request", "settles at", "of each trial", "on time"), rows))
    print(
        "The first request behind the change is 1.\n"
        f"Right: in the state that settles, at most {_RIGHT - 1:.0%} slower than the best plan.\n"
    )
    return found


async def _trial(device: LiveDevice, case: Case) -> tuple[tuple[int, Plan], tuple[int, Plan]]:
    async def calls() -> Report:
        return await device.call(case.model, case.form, [case.budget] * case.calls, pause_s=case.pause_s)

    await calls()
    with case.change():
        there = _right_from(await calls())
    return there, _right_from(await calls())


def _right_from(report: Report) -> tuple[int, Plan]:
    """The first request (from 1) after which all plans are right by the final predictions; and the last plan."""
    plans = [(one.cut, one.codec) for one in report.outcomes]
    figures = {
        (one.cut, one.codec): one.predicted_ms
        for one in report.candidates
        if one.verdict not in {"impossible", "not-allowed", "below-fidelity"}
    }
    best = min(figures.values())
    wrong = [place for place, plan in enumerate(plans, 1) if figures.get(plan, float("inf")) > _RIGHT * best]
    return (wrong[-1] + 1 if wrong else 1), plans[-1]
