"""The rules by which a soak is judged, held against samples that are made up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.soak.samples import SIDES, Sample
from tests.soak.verdict import MEASURES, Row, rows

REQUESTS = 1000


def judged(device_mb: Callable[[int], float], cloud_mb: Callable[[int], float] = lambda _: 300.0) -> dict[str, Row]:
    """The rows of memory without sessions, of tours each tenth request; all other measures stay as they are."""
    still = dict.fromkeys((measure.name for measure in MEASURES), 20.0)
    samples = [
        Sample(place, side, 1, still | {"rest_mb": resident(place)}, toured=True)
        for place in range(0, REQUESTS, 10)
        for side, resident in zip(SIDES, (device_mb, cloud_mb), strict=True)
    ]
    found = rows(samples, REQUESTS)
    assert all(row.flat for row in found if row.measure != "rest_mb")
    return {row.side: row for row in found if row.measure == "rest_mb"}


def test_what_stays_is_flat() -> None:
    row = judged(lambda place: 300.0 + place % 3)["device"]
    assert row.flat
    assert abs(row.after - row.before) <= 1


def test_what_creeps_by_more_than_two_percent_is_not() -> None:
    row = judged(lambda place: 300.0 + 0.01 * place)["device"]
    assert not row.flat
    assert row.slope == pytest.approx(100, rel=1e-6)


def test_growth_before_the_warm_up_ends_is_none() -> None:
    assert judged(lambda place: 100.0 if place < 100 else 300.0)["device"].flat


def test_the_companion_may_be_restarted_in_the_first_half() -> None:
    assert judged(lambda _: 300.0, lambda place: 50.0 if place < 500 else 300.0)["cloud"].flat
    assert not judged(lambda _: 300.0, lambda place: 200.0 if place < 800 else 300.0)["cloud"].flat


def test_a_peak_is_not_growth() -> None:
    assert judged(lambda place: 900.0 if place == 950 else 300.0)["device"].flat


def test_what_is_held_between_the_tours_is_not_compared() -> None:
    figures = dict.fromkeys((measure.name for measure in MEASURES), 20.0)
    toured = [Sample(place, side, 1, figures, toured=True) for place in range(0, REQUESTS, 10) for side in SIDES]
    between = [
        Sample(place, side, 1, figures | {"rss_mb": float(place)}) for place in (150, 650, 950) for side in SIDES
    ]
    assert rows(toured + between, REQUESTS) == rows(toured, REQUESTS)


def test_a_run_without_samples_is_not_judged() -> None:
    with pytest.raises(ValueError, match="no sample"):
        rows([], REQUESTS)
