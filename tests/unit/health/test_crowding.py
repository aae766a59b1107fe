"""A daemon without room: what is refused, and what the engine drops, within a window of time."""

from __future__ import annotations

import pytest

from collabd.health.crowding import EvictionSense, RefusalSense


@pytest.mark.parametrize(
    ("requests", "refused", "seen"),
    [
        (100, 0, []),
        (20, 4, []),
        (1000, 50, []),
        (100, 6, ["6 of the last 100 requests were refused for want of room"]),
    ],
)
def test_more_than_a_twentieth_of_the_requests_is_too_many(requests: int, refused: int, seen: list[str]) -> None:
    now, counts = 0.0, (500, 400)
    sense = RefusalSense(lambda: counts, lambda: now)
    assert list(sense()) == []
    now, counts = 30.0, (500 + requests, 400 + refused)
    assert [each.what for each in sense()] == seen
    now = 100.0
    assert list(sense()) == []


def test_sessions_that_go_in_turns_are_seen() -> None:
    now, count = 0.0, 7
    sense = EvictionSense(lambda: count, lambda: now)
    assert list(sense()) == []
    now, count = 60.0, 36
    assert list(sense()) == []
    now, count = 120.0, 37
    assert [each.what for each in sense()] == ["the engine has dropped 30 sessions in the last five minutes"]
