"""Deadlines that calls to a model miss, within two minutes."""

from __future__ import annotations

import pytest

from collabd.device.counters import Deadlines
from collabd.device.health.calls import DeadlineSense


@pytest.mark.parametrize(
    ("calls", "missed", "seen"),
    [
        (19, 19, []),
        (100, 10, []),
        (100, 11, ["11 of the last 100 calls to net with a deadline missed it"]),
    ],
)
def test_more_than_a_tenth_of_enough_calls_is_too_much(calls: int, missed: int, seen: list[str]) -> None:
    now, counts = 0.0, {"net": Deadlines(50, 50), "other": Deadlines(9, 0)}
    sense = DeadlineSense(lambda: counts, lambda: now)
    assert list(sense()) == []
    now, counts["net"] = 100.0, Deadlines(50 + calls, 50 + missed)
    assert [each.what for each in sense()] == seen
    now = 230.0
    assert list(sense()) == []
