"""How many rows together pay, by what runs of each size cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collabd.cloud.call.run_times import RunTimes


def settled(
    cost_s: Callable[[int], float], *, most: int = 8, at_first: int = 8, runs: int = 60
) -> tuple[RunTimes, list[int]]:
    """After runs that each held as many rows as they should."""
    times, sizes = RunTimes(), []
    for _ in range(runs):
        sizes.append(times.most_rows("it", most, at_first=at_first))
        times.ran("it", sizes[-1], cost_s(sizes[-1]))
    return times, sizes


@pytest.mark.parametrize(
    ("once_s", "row_s", "rows"),
    [
        (0.0, 10e-3, 1),  # what EfficientNet-Lite0 takes: rows together only wait for one another
        (1e-3, 7.5e-3, 4),  # VGG16 for CIFAR-10
        (5e-3, 1e-3, 8),  # weights that take longer to read than to use
    ],
)
def test_no_run_holds_more_rows_than_pay(once_s: float, row_s: float, rows: int) -> None:
    _, sizes = settled(lambda size: once_s + row_s * size)
    assert sizes[0] == 8
    assert set(sizes[-20:]) == {rows}


def test_more_rows_are_tried_step_by_step_while_they_pay() -> None:
    _, sizes = settled(lambda size: 5e-3 + 1e-3 * size, at_first=2)
    assert list(dict.fromkeys(sizes)) == [2, 1, 4, 8]
    _, sizes = settled(lambda size: 1e-3 * size, at_first=2)
    assert list(dict.fromkeys(sizes)) == [2, 1]


def test_what_a_busy_machine_made_long_counts_for_nothing() -> None:
    calls = iter(range(10_000))
    _, sizes = settled(lambda size: 10e-3 * size * (1 + next(calls) % 4))
    assert set(sizes[-20:]) == {1}


def test_small_runs_alone_say_nothing_of_larger_ones() -> None:
    times = RunTimes()
    for _ in range(20):
        times.ran("it", 1, 1e-3)
    assert times.most_rows("it", 8, at_first=8) == 8


def test_all_is_measured_anew_after_a_while() -> None:
    times, sizes = settled(lambda size: 10e-3 * size, runs=1023)
    assert sizes[-1] == 1
    times.ran("it", 1, 10e-3)
    assert times.most_rows("it", 8, at_first=8) == 8


def test_kinds_are_apart_and_forgotten_in_the_end() -> None:
    times, _ = settled(lambda size: 10e-3 * size)
    assert times.row_s("it") == pytest.approx(10e-3)
    assert times.most_rows("other", 8, at_first=8) == 8
    for number in range(300):
        times.ran(number, 1, 1e-3)
    assert times.row_s("it") is None
