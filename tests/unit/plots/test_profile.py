"""The picture of a profile: bars that add up, the plan that is taken, caps, and the front of plans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from collab_sdk.vocabulary import TAKEN
from collabd.plots import kinds, style
from collabd.plots.best import best_at_cuts
from collabd.plots.profile import bars
from collabd.plots.profile.front import PlotPoint, front, points
from collabd.plots.profile.picture import draw
from tests.unit.plots.conftest import labels, overlaps, recorded, texts

REPORTS = ["profile-detector", "profile-pair"]


def plan(latency_ms: float, fidelity: float) -> PlotPoint:
    return PlotPoint(name="", kind="", latency_ms=latency_ms, fidelity=fidelity, chosen=False, fits=True)


@given(st.lists(st.builds(plan, st.integers(1, 999).map(float), st.floats(0, 1)), min_size=1))
def test_the_front_holds_the_plans_that_no_other_beats(plans: list[PlotPoint]) -> None:
    kept = list(front(plans))
    for one in plans:
        beaten = any(
            other.latency_ms <= one.latency_ms
            and other.fidelity >= one.fidelity
            and (other.latency_ms, other.fidelity) != (one.latency_ms, one.fidelity)
            for other in plans
        )
        assert beaten != (one in kept)


@pytest.mark.parametrize("name", REPORTS)
def test_a_bar_is_as_long_as_its_phases(figure: Figure, name: str) -> None:
    report = recorded(name)
    rows = best_at_cuts(report)
    axes = figure.subplots()
    bars.draw(axes, rows, cap_ms=None)
    ends = [0.0] * len(rows)
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        place = round(patch.get_y() + patch.get_height() / 2)
        ends[place] = max(ends[place], patch.get_x() + patch.get_width())
    assert ends == pytest.approx([sum(row.best["phases_ms"].values()) for row in rows], rel=0.02)


@pytest.mark.parametrize("name", REPORTS)
def test_every_phase_belongs_to_one_part(name: str) -> None:
    parts = [phase for phases, _ in bars.PARTS.values() for phase in phases]
    for cut in recorded(name)["rows"]:
        for codec in cut["codecs"].values():
            assert sorted(codec["phases_ms"]) == sorted(parts)


@pytest.mark.parametrize("name", REPORTS)
def test_the_plan_that_is_taken_is_marked(figure: Figure, name: str) -> None:
    report = recorded(name)
    draw(figure, report)
    (taken,) = (row for row in best_at_cuts(report) if row.taken)
    (marked,) = (text for text in texts(figure) if text.startswith("◀"))
    assert f"◀ {taken.best['verdict']}: {kinds.how(taken.cut, taken.codec)}".rstrip() in marked
    bold = [text for text in figure.axes[0].get_yticklabels() if text.get_fontweight() == "bold"]
    assert [text.get_text().split(" (")[0] for text in bold] == [kinds.short(taken.cut["cut"])]
    assert "chosen" in labels(figure)
    assert overlaps(figure) == []


def test_caps_are_lines_and_what_breaks_them_is_pale(figure: Figure) -> None:
    report = recorded("profile-pair")
    draw(figure, report)
    assert labels(figure).count("cap 60 ms") == 2
    assert "least fidelity, 99 %" in labels(figure)
    pale = [line for line in figure.axes[2].lines if line.get_alpha() == style.FAINT]
    rejected = [each for each in points(report) if not each.fits and each.fidelity >= 0.8]
    assert sum(len(np.asarray(line.get_xdata())) for line in pale) == len(rejected) > 0


def test_without_a_companion_and_without_a_plan_that_is_taken(figure: Figure) -> None:
    report = recorded("profile-detector")
    report |= {"cloud": None, "link": None, "rows": [row for row in report["rows"] if row["cloud"] is None]}
    for row in report["rows"]:
        for codec in row["codecs"].values():
            codec["verdict"] = "worse"
    draw(figure, report)
    assert not any(text.startswith("◀") for text in texts(figure))
    assert overlaps(figure) == []


def test_several_companions_are_told_apart(figure: Figure) -> None:
    report = recorded("profile-detector")
    other = [row | {"cloud": "lab"} for row in report["rows"] if row["cloud"] is not None]
    report["rows"] = report["rows"] + other
    draw(figure, report)
    assert {text.get_text().rpartition(" @ ")[2] for text in figure.axes[0].get_yticklabels()} >= {"companion", "lab"}


@pytest.mark.parametrize("name", REPORTS)
def test_every_plan_is_a_point_of_a_kind(name: str) -> None:
    report: Any = recorded(name)
    found = points(report)
    assert len(found) == sum(len(row["codecs"]) for row in report["rows"])
    assert {each.kind for each in found} <= kinds.KINDS.keys()
    taken = [c for row in report["rows"] for c in row["codecs"].values() if c["verdict"] in TAKEN]
    assert [each.latency_ms for each in found if each.chosen] == [each["predicted_ms"] for each in taken]


def test_bars_beyond_those_of_interest_are_cut_off(figure: Figure) -> None:
    report = recorded("profile-detector")
    rows = best_at_cuts(report)
    rows[-1].best["phases_ms"]["up"] = 1e6
    axes = figure.subplots()
    bars.draw(axes, rows, cap_ms=None)
    assert axes.get_xlim()[1] < 1e5
    assert sum(text.endswith("▶") for text in (each.get_text() for each in axes.texts)) >= 1
