"""What plans are worth where the device may run the tail too while it waits, and whoever is first wins.

The loss of trying an uncertain link is then bounded, and the gain is not: so it is the expectation that counts, and not
the median of the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import pi, sqrt

import numpy as np

from collabd.planning.candidates import Candidates
from collabd.planning.predict import Prediction
from collabd.planning.state import CloudState

# Deviations at evenly spaced quantiles of the distribution that `wait` is about.
_COUNT = 7
_QUANTILES = (np.arange(_COUNT) + 0.5) / _COUNT
_DEVIATIONS = np.log(_QUANTILES / (1 - _QUANTILES)) * sqrt(3) / pi
_MEAN = np.full(_COUNT, 1 / _COUNT)


def hedged(plans: Candidates, prediction: Prediction, *, clouds: Sequence[CloudState], price: float) -> Prediction:
    """The prediction of a race, with `hedged_s` and `raced_s`: for plans with a companion the lesser of two means.

    That of waiting for the answer, whatever it takes; and that of running the whole network here beside it, for which
    extra work counts `price` times its seconds. When `patience` starts the tail in between, it is better than both.

    On steady links no race can win, so that the median is as good: at best, where both are as fast, the mean of the
    lesser is the mean less half the mean deviation, which is no more than the spread.
    """
    spreads = [*(cloud.link_spread for cloud in clouds), 0.0]
    if max(spreads) <= 2 * price / (1 + price):
        return replace(prediction, races=True)
    # How much more than its median the transfer takes, by quantile and companion; then what a plan takes, by quantile.
    more = np.expm1(np.outer(_DEVIATIONS, spreads))
    takes_s = more.take(plans.cloud, axis=1)
    takes_s *= prediction.transfer_s
    takes_s += prediction.latency_s
    waiting_s = _MEAN @ takes_s
    np.minimum(takes_s, prediction.latency_s[plans.local].min(), out=takes_s)
    race_s = _MEAN @ takes_s
    # All on the device is sure to take what it takes, so that of it waiting is the lesser.
    races = (1 + price) * race_s < waiting_s
    return replace(
        prediction,
        hedged_s=np.where(races, (1 + price) * race_s, waiting_s),
        raced_s=np.where(races, race_s, prediction.latency_s),
        races=True,
    )
