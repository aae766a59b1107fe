"""The circuit breaker, as a table of what happened and what it then is."""

from __future__ import annotations

import pytest

from collabd.device.breaker import Breaker, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("events", "at", "expected"),
    [
        ([], 0, CLOSED),
        (["fail 1"], 1, CLOSED),  # once is no pattern
        (["fail 1", "fail 2"], 2, OPEN),
        (["fail 1", "ok 1.5", "fail 2"], 2, CLOSED),  # not in a row
        (["fail 1", "fail 2"], 6.9, OPEN),
        (["fail 1", "fail 2"], 7.0, HALF_OPEN),  # the pause of 5 s is over
        (["fail 1", "fail 2", "fail 8"], 12.9, OPEN),  # the probe failed: a new pause
        (["fail 1", "fail 2", "ok 8"], 8, CLOSED),
    ],
)
def test_states(events: list[str], at: float, expected: BreakerState) -> None:
    breaker = Breaker(failures=2, open_s=5.0)
    for event in events:
        kind, when = event.split()
        if kind == "ok":
            breaker.succeeded()
        else:
            breaker.failed(float(when))
    assert breaker.state(at) is expected
