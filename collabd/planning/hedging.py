"""What plans are worth where the device may run the tail as well while it waits, and whoever is first wins.

Trying an uncertain link can then lose little, and can gain much. So plans are compared by the mean of their latency,
not by its median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import pi, sqrt

import numpy as np

from collabd.planning.candidates import Candidates
from collabd.planning.predict import Prediction
from collabd.planning.state import CloudState

# The deviations at evenly spaced quantiles of a log-logistic distribution, which is that of waiting (`wait`).
_COUNT = 7
_QUANTILES = (np.arange(_COUNT) + 0.5) / _COUNT
_DEVIATIONS = np.log(_QUANTILES / (1 - _QUANTILES)) * sqrt(3) / pi
_MEAN = np.full(_COUNT, 1 / _COUNT)


def hedged(plans: Candidates, prediction: Prediction, *, clouds: Sequence[CloudState], price: float) -> Prediction:
    """The prediction with `hedged_s` and `raced_s`. For plans with a companion these are the lesser of two means.

    The first is the mean of waiting for the answer, whatever it takes. The second is that of running the whole network
    here beside it, where each second of latency counts 1 + `price`, since the work is extra. `patience` starts the tail
    at some moment in between, which is better than both.

    On steady links no race is worth its price, and the median serves as well. A race gains most where both sides are
    equally fast: then the mean of the faster is below the mean of one by half the mean absolute deviation, and that is
    at most half the spread.
    """
    spreads = [*(cloud.link_spread for cloud in clouds), 0.0]
    if max(spreads) <= 2 * price / (1 + price):
        return replace(prediction, races=True)
    # By quantile and companion: by which share a transfer is longer than its median. The last column: local plans.
    more = np.expm1(np.outer(_DEVIATIONS, spreads))
    # By quantile and plan: the latency.
    takes_s = more.take(plans.cloud, axis=1)
    takes_s *= prediction.transfer_s
    takes_s += prediction.latency_s
    waiting_s = _MEAN @ takes_s
    np.minimum(takes_s, prediction.latency_s[plans.at_home] + prediction.basis.little_s, out=takes_s)
    race_s = _MEAN @ takes_s
    # A local plan takes the same at every quantile, so a race with itself is never worth its price.
    races = (1 + price) * race_s < waiting_s
    return replace(
        prediction,
        hedged_s=np.where(races, (1 + price) * race_s, waiting_s),
        raced_s=np.where(races, race_s, prediction.latency_s),
        races=True,
    )
