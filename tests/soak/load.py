"""What the clients ask, and whether the answers are right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
from PIL import Image

from collab_sdk import AsyncClient, Result
from collab_sdk.errors import CollabError
from collabd.simulation.samples import CIFAR, IMAGENET, Form, Sample

ALEXNET, VGG = CIFAR
Samples = Mapping[tuple[str, Form], list[Sample]]
Action = Callable[[], Awaitable[None]]

# Calls out of 1,000. The small network gets the most, so that many calls fit into the time.
_MIX: dict[tuple[str, Form], int] = {
    (ALEXNET, "file"): 700,
    (ALEXNET, "frame"): 220,
    (VGG, "file"): 60,
    (IMAGENET, "file"): 10,
    (IMAGENET, "frame"): 10,
}
_BUDGETS: dict[str, tuple[str, ...]] = {
    ALEXNET: ("", "25ms", "100%", "min-energy", "cost 0"),
    VGG: ("", "60ms", "100%", "min-energy", "cost 0"),
    IMAGENET: ("", "150ms", "100%", "cost 0"),
}
_SWAPPED = str.maketrans("CD", "DC")


@dataclass
class Tally:
    """What became of the calls."""

    answered: int = 0
    remote: int = 0
    degraded: int = 0
    switches: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    plans: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _last: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, sample: Sample, form: Form, budget: str, result: Result) -> None:
        """Take in an answer."""
        self.answered += 1
        self.remote += "C" in result.ran
        self.degraded += result.degraded
        plan = (result.plan.cut, result.plan.codec)
        self.plans[result.model, *plan] += 1
        if result.plan.reason != "explored":
            kind = (result.model, form, budget)
            self.switches += self._last.setdefault(kind, plan) != plan
            self._last[kind] = plan
        # A lossy plan may give another label now and then; its fidelity below 1 says so.
        if result.fidelity == 1.0 and result.label != sample.unsplit:
            self.wrong.append(f"{result.model} {sample.name} by {'/'.join(plan)}: {result.label}")


def with_frames(samples: Samples) -> Samples:
    """Those of AlexNet as pixels, too."""
    frames = [_as_frame(sample) for sample in samples[ALEXNET, "file"]]
    return {**samples, (ALEXNET, "frame"): frames}


async def call(client: AsyncClient, samples: Samples, turn: int, tally: Tally) -> None:
    """The call number `turn`, which is the same in every run."""
    dice = random.Random(turn)
    (model, form), *_ = dice.choices(list(_MIX), list(_MIX.values()))
    sample, budget = dice.choice(samples[model, form]), dice.choice(_BUDGETS[model])
    try:
        tally.add(sample, form, budget, await client.infer(sample.image, budget, model=model))
    except CollabError as error:
        tally.lost.append(f"call {turn}, {model} ({budget}): {type(error).__name__}: {error}")


async def tour(client: AsyncClient, samples: Samples) -> int:
    """Run every cut of every network in every codec, and the other way round; returns how many calls.

    The other way round, the companion begins and the device ends. So each side runs each head and each tail once. These
    are more sessions than its cache holds, so after two tours the cache holds the same sessions, whatever came before.
    """
    calls = 0
    for model, form in _MIX:
        sample = samples[model, form][0]
        for row in (await client.profile(model))["rows"]:
            remote = row["cloud"] is not None
            for codec in row["codecs"]:
                if (form, codec) != ("frame", "source"):  # the file as it came, where there is none
                    cut, stated = row["cut"], codec if remote else None
                    result = await client.infer(sample.image, model=model, cut=cut, codec=stated, fallback="fail")
                    calls += 1
            if remote and row["head_layers"]:
                swapped = result.plan.placement.translate(_SWAPPED)
                await client.infer(sample.image, model=model, placement=swapped, fallback="fail")
                calls += 1
    return calls


def _as_frame(sample: Sample) -> Sample:
    assert isinstance(sample.image, bytes)
    pixels = np.asarray(Image.open(BytesIO(sample.image)).convert("RGB"))
    return replace(sample, image=pixels)
