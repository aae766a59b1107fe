"""The circuit breaker, as a table: events, and the state that they lead to."""

from __future__ import annotations

import pytest

from collab_sdk.vocabulary import BreakerState
from collabd.device.companions.breaker import Breaker

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("events", "at", "expected"),
    [
        ([], 0, CLOSED),
        (["fail 1"], 1, CLOSED),  # one failure is not enough
        (["fail 1", "fail 2"], 2, OPEN),
        (["fail 1", "ok 1.5", "fail 2"], 2, CLOSED),  # an answer between two failures: they are not in a row
        (["fail 1", "fail 2"], 6.9, OPEN),
        (["fail 1", "fail 2"], 7.0, HALF_OPEN),  # the pause of 5 s is over
        (["fail 1", "fail 2", "fail 8"], 12.9, OPEN),  # the probe failed: a new pause
        (["fail 1", "fail 61.1"], 62, CLOSED),  # too far apart to be in a row
        (["fail 1", "fail 2", "fail 8"], 13, HALF_OPEN),
        (["fail 1", "fail 2", "ok 3"], 3, OPEN),  # a late answer to an earlier call is no probe
        (["fail 1", "fail 2", "ok 8"], 8, HALF_OPEN),
        (["fail 1", "fail 2", "probed 8"], 8, CLOSED),
        (["fail 1", "fail 2", "probed 8", "fail 9"], 9, OPEN),  # after a good probe one failed call is enough
        (["fail 1", "fail 2", "probed 8", "ok 9", "fail 10"], 10, CLOSED),
        (["trip 1"], 1, OPEN),  # a certain failure opens it alone
        (["trip 1"], 6, HALF_OPEN),
    ],
)
def test_states(events: list[str], at: float, expected: BreakerState) -> None:
    breaker = Breaker(failures=2, open_s=5.0)
    for event in events:
        kind, when = event.split()
        match kind:
            case "ok":
                breaker.succeeded()
            case "fail":
                breaker.failed(float(when))
            case "trip":
                breaker.trip(float(when))
            case "probed":
                breaker.probed(float(when))
    assert breaker.state(at) is expected
