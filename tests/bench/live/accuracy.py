"""How far predictions lie from what calls really take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from collab_sdk import AsyncClient, Result
from collabd.simulation.demo import Samples
from collabd.simulation.relay import Relay
from collabd.simulation.samples import Form
from tests.bench.table import table

_RATES_MBIT = (2.0, 20.0)
_CALLS = 200
_CASES: tuple[tuple[str, Form], ...] = (
    ("alexnet_cifar10", "file"),
    ("vgg16_cifar10", "file"),
    ("efficientnet_lite0", "file"),
    ("efficientnet_lite0", "frame"),
)


async def measure(client: AsyncClient, relay: Relay, samples: Samples) -> None:
    """Print the error by network and rate, and over all calls."""
    rows, every = [], []
    for rate in _RATES_MBIT:
        relay.set_rate(rate * 1e6 / 8)
        for model, form in _CASES:
            images = [sample.image for sample in samples[model, form]]
            results = [await client.infer(images[turn % len(images)], model=model) for turn in range(_CALLS)]
            every += results
            rows.append((f"{model}, {form}", f"{rate:g}", *_figures(results)))
    rows.append(("all", "", *_figures(every)))
    print(table(("Prediction error", "Mbit/s", "usual plan", "median", "p90", "bias"), rows))
    print("|measured - predicted| / measured; bias: the median with its sign, above 0 where calls take longer.\n")


def _figures(results: Sequence[Result]) -> tuple[str, ...]:
    # What the client itself takes is no part of a prediction.
    times = [(result.measured.latency_ms, result.measured.client_ms) for result in results]
    measured = np.array(times, np.float64) @ (1, -1)
    predicted = np.array([result.predicted.latency_ms for result in results], np.float64)
    error = (measured - predicted) / measured
    usual = Counter(f"{result.plan.cut}/{result.plan.codec}" for result in results).most_common(1)[0][0]
    sizes = np.quantile(np.abs(error), [0.5, 0.9])
    return usual, *(f"{size:.1%}" for size in sizes), f"{np.median(error):+.1%}"
