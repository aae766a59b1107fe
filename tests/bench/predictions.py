"""How far predictions lie from what calls take, by kind of plan: `python -m tests.bench.predictions`.

The caller and collabd are on an honest device. Each plan is fixed in turn, so that what the model leaves out of one
kind and not of another shows as a difference of their biases.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from collabd.simulation.samples import Form
from collabd.simulation.slow_cpu import NoSlowCpu
from tests.bench.live.device import LiveDevice, live_device
from tests.bench.live.orders import Candidate, Outcome
from tests.bench.table import table

_PROFILES = Path("build/bench/profiles")
_RATES_MBIT = (2.0, 5.0, 20.0)
# The first calls of a plan teach, the others are counted.
_LEARNS, _CALLS = 15, 40
_CASES: tuple[tuple[str, Form], ...] = (
    ("efficientnet_lite0", "file"),
    ("efficientnet_lite0", "frame"),
    ("vgg16_cifar10", "file"),
)


async def _measure(device: LiveDevice) -> None:
    rows, by_kind = [], dict[str, list[float]]()
    for model, form in _CASES:
        report = await device.call(model, form, [""] * _LEARNS)
        plans = _plans(report.candidates)
        for rate in _RATES_MBIT:
            device.link(rate)
            for kind, (cut, codec) in plans.items():
                if (form, kind) == ("frame", "source"):
                    continue
                report = await device.call(model, form, [""] * (_LEARNS + _CALLS), cut=cut, codec=codec)
                counted = report.outcomes[_LEARNS:]
                errors = _errors(counted)
                by_kind.setdefault(kind, []).extend(errors)
                usual_ms = float(np.median([one.latency_ms for one in counted]))
                rows.append((f"{model}, {form}", f"{rate:g}", kind, f"{usual_ms:.1f}", *_figures(errors)))
    rows += [("all", "", kind, "", *_figures(errors)) for kind, errors in by_kind.items()]
    rows.append(("all", "", "all", "", *_figures([error for errors in by_kind.values() for error in errors])))
    print(table(("Prediction error", "Mbit/s", "plan", "ms", "median", "p90", "bias"), rows))
    print("|measured - predicted| / measured, of all that the caller waits.")
    print("bias: the median with its sign, above 0 where calls take longer.\n")


def _plans(candidates: Sequence[Candidate]) -> dict[str, tuple[str, str | None]]:
    """By name: the cut and the codec of a plan of each kind; split is a cut in the middle of the network."""
    jpegs = [one.codec for one in candidates if one.cut == "image" and one.codec.startswith("jpeg")]
    cuts = [one.cut for one in candidates if one.codec == "q8" and one.cut != "image"]
    plans: dict[str, tuple[str, str | None]] = {"local": ("output", None), "source": ("image", "source")}
    if jpegs:
        plans["jpeg"] = "image", jpegs[len(jpegs) // 2]
    if cuts:
        plans["split"] = cuts[len(cuts) // 2], "q8"
    return plans


def _errors(outcomes: Sequence[Outcome]) -> list[float]:
    return [(one.latency_ms - one.predicted_ms) / one.latency_ms for one in outcomes]


def _figures(errors: Sequence[float]) -> tuple[str, ...]:
    sizes = np.quantile(np.abs(errors), [0.5, 0.9])
    return *(f"{size:.1%}" for size in sizes), f"{np.median(errors):+.1%}"


async def _main(directory: Path) -> None:
    async with live_device(directory, _PROFILES) as device:
        await _measure(device)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="collabd-predictions-") as scratch:
        try:
            asyncio.run(_main(Path(scratch)))
        except NoSlowCpu as error:
            sys.exit(f"This bench needs a slow device: {error}.")
