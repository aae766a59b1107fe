"""Figures as text."""

from __future__ import annotations

import pytest

from collabd.ctl import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (0.042, "0.04"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1234.5, "1234"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (150_978, "151k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (12_345_678, "12.3M"),
    ],
)
def test_sizes(octets: int | None, text: str) -> None:
    assert figures.size(octets) == text


@pytest.mark.parametrize(("part", "text"), [(None, "-"), (0.0, "0 %"), (0.995, "99.5 %"), (0.9995, "99.95 %")])
def test_shares(part: float | None, text: str) -> None:
    assert figures.share(part) == text


@pytest.mark.parametrize(("part", "text"), [(None, "-"), (0.0, "0 %"), (0.314, "31 %"), (1.0, "100 %")])
def test_loads(part: float | None, text: str) -> None:
    assert figures.load(part) == text


@pytest.mark.parametrize(("cost", "text"), [(None, "-"), (0.0, "0"), (0.002, "0.002"), (1.5e-6, "1.5e-06")])
def test_prices(cost: float | None, text: str) -> None:
    assert figures.price(cost) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (41.7, "42 s"), (3600, "1 h"), (11_532, "3 h 12 min"), (90_061, "1 d 1 h"), (59.6, "1 min")],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


def test_what_was_not_measured_is_no_factor() -> None:
    assert (figures.factor(None), figures.factor(8.1)) == ("-", "8.10x")


def plan(cut: str, placement: str, *, codec: str, precision: str, cloud: str | None, reason: str) -> str:
    asked = {"codec": codec, "precision": precision, "cloud": cloud, "reason": reason}
    alone = {"little": None, "little_precision": None, "cascade": None}
    return figures.plan({"cut": cut, "placement": placement, **asked, **alone})


def test_plans_in_words() -> None:
    assert (
        plan("output", "DDD", codec="none", precision="fp32", cloud=None, reason="chosen")
        == "all on the device (chosen)"
    )
    assert (
        plan("image", "CCC", codec="jpeg", precision="int8", cloud="desktop", reason="kept")
        == "cut image as jpeg to desktop in int8 (kept)"
    )
    assert (
        plan("DCCD", "DCCD", codec="q8", precision="fp32", cloud="desktop", reason="chosen")
        == "layers 1D 2C 1D as q8 to desktop (chosen)"
    )


@pytest.mark.parametrize(
    ("name", "text"), [("features.2", "features.2"), ("DDCCCD", "2D 3C 1D"), ("DC", "DC"), ("CCCCCC", "CCCCCC")]
)
def test_cuts(name: str, text: str) -> None:
    assert figures.cut(name, 6) == text
