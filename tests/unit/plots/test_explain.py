"""The pictures of decisions: all candidates of one, or several calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collab_sdk.errors import InvalidRequest
from collab_sdk.vocabulary import TAKEN
from collabd.plots import kinds
from collabd.plots.explain import calls, candidates
from collabd.plots.explain.picture import plot
from tests.unit.plots.conftest import labels, overlaps, recorded, texts


def lines(axes: Axes, label: str) -> np.ndarray:
    """The points of what has this label, [points, 2]."""
    return next(np.asarray(line.get_xydata(), float) for line in axes.lines if line.get_label() == label)


def test_every_candidate_is_a_point_with_its_reason(figure: Figure) -> None:
    (decision,) = recorded("explain-one")["decisions"]
    candidates.draw(figure, decision)
    counts = Counter(plan["verdict"] for plan in decision["candidates"])
    for verdict, count in counts.items():
        label = verdict if verdict in TAKEN else f"{verdict} ({count})"
        assert label in labels(figure)
        assert len(lines(figure.axes[0], label)) == count
    (chosen,) = (plan for plan in decision["candidates"] if plan["verdict"] in TAKEN)
    at = lines(figure.axes[0], chosen["verdict"])
    assert np.allclose(at, [[chosen["predicted_ms"], chosen["energy_mj"]]])
    assert overlaps(figure) == []
    assert any(text.startswith(kinds.short(decision["cut"])) for text in texts(figure))


def test_caps_and_what_was_measured_are_lines(figure: Figure) -> None:
    (decision,) = recorded("explain-one")["decisions"]
    decision |= {"budget": "250ms,900mJ,cost 0.001,99%", "measured_ms": 77.0}
    candidates.draw(figure, decision)
    energy, cost, fidelity = figure.axes
    assert {"cap 250 ms", "measured 77 ms"} <= {*labels(figure)}
    for axes, cap in ((energy, 900), (cost, 1000), (fidelity, 99)):
        assert any(np.allclose(np.asarray(line.get_ydata(), float), cap) for line in axes.lines)
    assert overlaps(figure) == []


def test_a_word_that_only_a_newer_daemon_knows(figure: Figure) -> None:
    (decision,) = recorded("explain-one")["decisions"]
    worse = [plan for plan in decision["candidates"] if plan["verdict"] not in TAKEN]
    worse[0]["verdict"] = "too-bright"
    candidates.draw(figure, decision)
    assert "too-bright (1)" in labels(figure)


def test_calls_stand_in_the_order_in_which_they_came(figure: Figure) -> None:
    decisions = recorded("explain-several")["decisions"]
    ((model, found),) = calls.by_model(decisions).items()
    assert [call["age_s"] for call in found] == sorted((call["age_s"] for call in decisions), reverse=True)
    calls.draw(figure, {model: found})
    predicted = lines(figure.axes[0], "predicted")
    assert np.allclose(predicted, [(place, call["predicted_ms"] or 0.0) for place, call in enumerate(found, 1)])
    for kind, count in Counter(map(calls.kind, found)).items():
        assert len(lines(figure.axes[0], f"{kind} ({count})")) == count
    missed = sum(not call["budget_met"] for call in found)
    assert (f"over budget ({missed})" in labels(figure)) == (missed > 0)
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"cut": "inherit", "cloud": None}, kinds.INHERITED),
        ({"cut": "output", "cloud": None, "precision": "int8"}, kinds.INT8_ALONE),
        ({"cut": "image", "cloud": "pc", "codec": "jpeg90"}, kinds.JPEG),
        ({"cut": "features.2", "cloud": "pc", "codec": "q8"}, kinds.EXACT),
        ({"cascade": "serial", "answered_by": "small"}, "a little network answered"),
        ({"cascade": "raced"}, kinds.RACED),
    ],
)
def test_how_a_call_was_answered(changes: dict[str, str], kind: str) -> None:
    (decision,) = recorded("explain-one")["decisions"]
    decision |= {"precision": "fp32", "cascade": None, "answered_by": None, "candidates": []} | changes
    assert calls.kind(decision) == kind


def test_one_call_that_stated_its_plan_is_drawn_as_a_call(tmp_path: Path) -> None:
    report = recorded("explain-one")
    report["decisions"][0]["candidates"] = []
    plot(report, tmp_path / "call.png")
    assert (tmp_path / "call.png").stat().st_size > 5000


def test_without_a_call_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no call has come yet"):
        plot({"decisions": [], "found_at": {}}, tmp_path / "none.png")
