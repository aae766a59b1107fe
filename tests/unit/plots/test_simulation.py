"""The picture of a simulation: the policies, the plans of collabd, and the link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure

from collabd.planning import Candidate
from collabd.plots.simulation import LINES, MARKS, draw
from collabd.simulation.report import plan_name
from collabd.simulation.traces import Trace, TraceStep
from collabd.simulation.world import Outcome
from tests.unit.plots.conftest import labels, overlaps

TRACE = Trace([TraceStep(10.0, 1e6), TraceStep(5.0, 0.0)])


def outcomes(latency_s: float, codecs: Sequence[str], *, fidelity: float = 1.0) -> list[Outcome]:
    """Forty requests, which take the codecs in turn."""
    plans = [Candidate(cut="features.2", codec=codec, cloud=0, local_tail_s=0.0, fidelity=fidelity) for codec in codecs]
    return [
        Outcome(plan=plans[turn % len(plans)], started_s=turn / 2, latency_s=latency_s, energy_j=0.1)
        for turn in range(40)
    ]


def test_policies_are_lines_with_their_means(figure: Figure) -> None:
    runs = {"local": outcomes(0.2, ["f32"]), "collabd": outcomes(0.05, ["q8"]), "oracle": outcomes(0.04, ["q8"])}
    draw(figure, runs, TRACE, title="net on a link")
    assert labels(figure)[:3] == ["collabd (50 ms)", "oracle (40 ms)", "local (200 ms)"]
    for line in figure.axes[0].lines:
        name = str(line.get_label()).split(" ")[0]
        assert np.allclose(np.asarray(line.get_ydata(), float), runs[name][0].latency_s * 1e3)
    assert figure.get_suptitle() == "net on a link: collabd takes 0.25 of what local takes, the fastest other"
    assert overlaps(figure) == []


def test_what_is_less_faithful_is_said_to_be(figure: Figure) -> None:
    runs = {"remote_jpeg": outcomes(0.02, ["jpeg90"], fidelity=0.95), "collabd": outcomes(0.05, ["q8"])}
    draw(figure, runs, TRACE, title="net")
    assert "remote_jpeg (20 ms, 95 % faithful)" in labels(figure)
    assert figure.get_suptitle().endswith(
        "takes 2.50 of what remote_jpeg takes, the fastest other, though it is less faithful"
    )


def test_the_usual_plans_of_collabd_have_marks_of_their_own(figure: Figure) -> None:
    ours = outcomes(0.05, ["f32", "f16", "q8", "q4", "u8", "jpeg75", "jpeg90", "f32"])
    draw(figure, {"collabd": ours}, TRACE, title="net")
    shown = {str(line.get_label()): len(np.asarray(line.get_xdata())) for line in figure.axes[1].lines}
    assert len(shown) == len(MARKS) + 1
    counts = Counter(map(plan_name, ours))
    assert shown[f"features.2/f32 ({counts['features.2/f32']})"] == 10
    assert any(label.startswith("2 other plans") for label in shown)
    assert sum(shown.values()) == len(ours)


@pytest.mark.parametrize("policies", [["local"], [*LINES]])
def test_any_choice_of_policies(figure: Figure, policies: list[str]) -> None:
    draw(figure, {name: outcomes(0.1, ["f32"]) for name in policies}, TRACE, title="net")
    assert len(figure.axes) == (3 if "collabd" in policies else 2)
    assert overlaps(figure) == []


def test_the_link_is_drawn_at_its_rate(figure: Figure) -> None:
    draw(figure, {"local": outcomes(0.1, ["f32"])}, TRACE, title="net")
    (area,) = figure.axes[-1].collections
    corners = np.asarray(area.get_paths()[0].vertices, float)
    assert np.isclose(np.max(corners[:, 1]), 8.0)
