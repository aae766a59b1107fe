"""The link's reading, when to probe it, and the speed factor."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.link import LinkEstimate, LinkReading, next_probe_s
from collabd.sensing.speed import SpeedFactor


def test_not_measured_has_no_age() -> None:
    assert LinkEstimate(0.7).read(5.0).age_s is None


def test_a_reading_ages() -> None:
    link = LinkEstimate(0.7)
    link.learn(moved_bytes=16_000, seconds=0.1, now=10.0)
    assert link.read(10.0).age_s == 0
    assert link.read(13.5).age_s == pytest.approx(3.5)
    assert link.read(13.5).samples == 1


@pytest.mark.parametrize(
    ("age", "s_per_byte", "due"),
    [
        (None, 1e-6, 0.0),  # never measured: now
        (3.0, 1e-7, 7.0),  # fresh enough for 7 s more
        (20.0, 1e-7, 0.0),  # stale, and a probe is nothing to this link
        (20.0, 8 / 0.5e6, 5.6),  # stale, but 16 kB take 0.256 s here: not more than one in 25.6 s
    ],
)
def test_probes(age: float | None, s_per_byte: float, due: float) -> None:
    reading = LinkReading(0.02, s_per_byte, 0.1, age, 1)
    assert next_probe_s(reading, probe_bytes=16_000, stale_s=10.0, share=0.01) == pytest.approx(due)


def test_speed_follows_the_machine() -> None:
    speed = SpeedFactor(8.0)
    for _ in range(12):
        speed.learn(measured_s=0.02, profiled_s=0.01)
    assert speed.value == pytest.approx(2.0, rel=0.05)
    assert speed.spread < 0.6


def test_one_interrupted_run_does_not_look_like_a_slow_machine() -> None:
    speed = SpeedFactor()
    speed.learn(measured_s=1.0, profiled_s=0.01)
    assert speed.value < 1.7


@given(st.lists(st.tuples(st.floats(-1, 1e3), st.floats(0, 1e3)), max_size=30))
def test_speed_stays_finite_and_positive(runs: list[tuple[float, float]]) -> None:
    speed = SpeedFactor()
    for measured, profiled in runs:
        speed.learn(measured_s=measured, profiled_s=profiled)
    assert 0 < speed.value < math.inf
    assert 0 <= speed.spread < math.inf
