"""How far predictions lie from what calls really take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from collabd.simulation.samples import Form
from tests.bench.live.device import LiveDevice
from tests.bench.live.orders import Outcome
from tests.bench.live.report import Predicted
from tests.bench.table import table

_RATES_MBIT = (2.0, 20.0)
_CALLS = 200
_CASES: tuple[tuple[str, Form], ...] = (
    ("alexnet_cifar10", "file"),
    ("vgg16_cifar10", "file"),
    ("efficientnet_lite0", "file"),
    ("efficientnet_lite0", "frame"),
)


async def measure(device: LiveDevice) -> list[Predicted]:
    """Print the error by network and rate, and over all calls. Returns the calls."""
    rows, every, found = [], [], []
    for rate in _RATES_MBIT:
        device.link(rate)
        for model, form in _CASES:
            outcomes = (await device.call(model, form, [""] * _CALLS)).outcomes
            every += outcomes
            found.append(Predicted(model=model, form=form, mbit=rate, outcomes=outcomes))
            rows.append((f"{model}, {form}", f"{rate:g}", *_figures(outcomes)))
    rows.append(("all", "", *_figures(every)))
    print(table(("Prediction error", "Mbit/s", "usual plan", "median", "p90", "bias"), rows))
    print("|measured - predicted| / measured, of all that the caller waits.")
    print("bias: the median with its sign, above 0 where calls take longer.\n")
    return found


def _figures(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    measured, predicted = np.array([(one.latency_ms, one.predicted_ms) for one in outcomes]).T
    error = (measured - predicted) / measured
    usual = Counter(f"{one.cut}/{one.codec}" for one in outcomes).most_common(1)[0][0]
    sizes = np.quantile(np.abs(error), [0.5, 0.9])
    return usual, *(f"{size:.1%}" for size in sizes), f"{np.median(error):+.1%}"
