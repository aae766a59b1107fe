"""Seconds that a piece of work takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]


def taken(work: Callable[[], object]) -> float:
    """Once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(work: Callable[[], object], times: int) -> Seconds:
    """Each of `times` runs, after one that does not count."""
    work()
    return np.array([taken(work) for _ in range(times)])


def median_and_p99_us(seconds: Seconds) -> tuple[str, str]:
    """Both in microseconds, as text."""
    return f"{np.median(seconds) * 1e6:.0f} µs", f"{np.quantile(seconds, 0.99) * 1e6:.0f} µs"
