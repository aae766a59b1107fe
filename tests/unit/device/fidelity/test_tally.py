"""Counts that fade."""

from __future__ import annotations

import pytest

from collabd.catalog.package.manifest import NO_IMAGES, Agreement
from collabd.device.fidelity.tally import RowTally

PACKAGE = Agreement(agreed=700, images=712, sure_agreed=313, sure_images=313)


def counted(*shares: float, package: Agreement = NO_IMAGES, usual: float = 0.0) -> float:
    tally = RowTally()
    for share in shares:
        tally.count(share)
    return tally.evidence(package, usual).fidelity


def test_without_pictures_the_package_speaks_and_nothing_if_nothing_calibrated_it() -> None:
    assert counted(package=PACKAGE) == PACKAGE.fidelity
    assert counted() == 0.0


def test_a_hundred_pictures_earn_99_percent_from_nothing() -> None:
    assert counted(*[1.0] * 98) < 0.99 < counted(*[1.0] * 110)


def test_a_row_that_always_agrees_never_falls_below_what_its_package_promised_by_a_hundred() -> None:
    hundred = Agreement(agreed=100, images=100, sure_agreed=100, sure_images=100)
    assert min(counted(*[1.0] * seen, package=hundred) for seen in range(300)) >= hundred.fidelity


def test_pictures_here_outweigh_those_of_the_package() -> None:
    tally = RowTally()
    for _ in range(100):
        tally.count(1.0)
    evidence = tally.evidence(PACKAGE, usual=0.0)
    assert evidence.here == pytest.approx(95.2, abs=0.1)
    assert evidence.packaged == pytest.approx(313 * 0.99**100)


def test_another_scene_counts_soon_and_an_old_one_is_forgotten() -> None:
    tally = RowTally()
    for _ in range(5000):
        tally.count(1.0)
    assert tally.images == pytest.approx(1000, rel=0.01)
    before = tally.evidence(NO_IMAGES, 0.0).fidelity
    unlike = 0
    while tally.evidence(NO_IMAGES, 0.0).fidelity >= 0.99:
        tally.count(0.0)
        unlike += 1
    assert before > 0.998
    assert unlike <= 8
    for _ in range(5000):
        tally.count(1.0)
    assert tally.evidence(NO_IMAGES, 0.0).fidelity > 0.998


def test_pictures_of_one_class_alone_say_little() -> None:
    assert counted(*[1.0] * 200, usual=1.0) == pytest.approx(10 / 11)
    assert counted(*[1.0] * 200, usual=0.5) == counted(*[1.0] * 200)


def test_answers_that_are_right_in_part_count_in_part() -> None:
    assert counted(0.5, 0.5) == pytest.approx(counted(1.0, 0.0), abs=1e-3)
    assert counted(0.0, 1.0) == pytest.approx(counted(1.0, 0.0), abs=1e-3)
