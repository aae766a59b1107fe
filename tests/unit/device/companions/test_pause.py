"""Pauses after refusals: as long as asked for at first, longer with each refusal in a row, and never the same."""

from __future__ import annotations

from random import Random

import pytest

from collabd.device.companions.pause import Pause


def middle(least: float, most: float) -> float:
    return (least + most) / 2


def test_a_pause_grows_with_each_refusal_up_to_a_minute() -> None:
    pause = Pause(middle)
    assert [pause.after_refusal(1.0) for _ in range(5)] == [1.0, 4.0, 16.0, 60.0, 60.0]


def test_each_answer_makes_the_next_pause_shorter() -> None:
    pause = Pause(middle)
    for _ in range(2):
        pause.after_refusal(1.0)
    pause.answered()
    assert pause.after_refusal(1.0) == 8.0
    for _ in range(10):
        pause.answered()
    assert pause.after_refusal(1.0) == 1.0


def test_devices_whose_calls_meet_now_and_then_leave_the_companion_alone_for_a_moment_only() -> None:
    pause = Pause(middle)
    for _ in range(20):
        assert pause.after_refusal(0.02) == pytest.approx(0.02)
        pause.answered()
        pause.answered()


def test_devices_that_were_refused_together_come_back_at_different_times() -> None:
    pauses = [Pause(Random(seed).uniform).after_refusal(2.0) for seed in range(200)]
    assert min(pauses) == pytest.approx(1.0, abs=0.1)
    assert max(pauses) == pytest.approx(3.0, abs=0.1)
    assert len({round(each, 3) for each in pauses}) > 150
