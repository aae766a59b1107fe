"""How each CIFAR-10 network is trained, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["BATCH", "RECIPES", "Phase", "learning_rate", "stretched"]

BATCH = 256
# The learning rate at the start of a phase, as a share of its peak.
_START = 1 / 25


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A run of epochs under one learning-rate cycle: linear to `peak` in the first `rising` of the steps, then to 0.

    `square`: side in pixels of the square that `augment.erase` sets to zero (0: none); `square_every`: its `every`.
    """

    epochs: int
    peak: float
    rising: float
    dropout: float = 0.0
    square: int = 0
    square_every: int | None = None


RECIPES: Mapping[str, tuple[Phase, ...]] = {
    "alexnet_cifar10": (Phase(epochs=16, peak=0.05, rising=0.2),),
    "vgg16_cifar10": (
        Phase(epochs=12, peak=0.1, rising=0.2, dropout=0.3, square=8),
        Phase(epochs=9, peak=0.06, rising=0.1, dropout=0.1, square=6, square_every=2),
    ),
}


def stretched(phases: Sequence[Phase], epochs: int) -> tuple[Phase, ...]:
    """The same phases with `epochs` epochs in total, divided in the same proportions."""
    total = sum(phase.epochs for phase in phases)
    ends = [
        round(sum(phase.epochs for phase in phases[: number + 1]) * epochs / total) for number in range(len(phases))
    ]
    starts = [0, *ends[:-1]]
    return tuple(replace(phase, epochs=end - start) for phase, start, end in zip(phases, starts, ends, strict=True))


def learning_rate(phase: Phase, done: float) -> float:
    """The learning rate after the part `done` (0..1) of a phase."""
    return float(np.interp(done, (0, phase.rising, 1), (phase.peak * _START, phase.peak, 0)))
