"""The pictures of the benches, of reports that are made up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from matplotlib.figure import Figure

from tests.bench.alternatives import plot as alternatives
from tests.bench.alternatives.caller import BARE, DEFAULT, JPEG, LOCAL, RAW
from tests.bench.alternatives.orders import Measured
from tests.bench.alternatives.report import Cell, Report
from tests.bench.live import plot as live
from tests.bench.live.orders import Outcome
from tests.bench.live.report import Capped, LiveReport, Predicted, Reaction
from tests.soak import plot as soak
from tests.soak.samples import SIDES, Sample

MS = {BARE: 100.0, JPEG: 60.0, RAW: 90.0, DEFAULT: 50.0, LOCAL: 110.0}


def cell(mbit: float, **ms: float) -> Cell:
    measured = [Measured(name=name, latencies_ms=[took], plan="image/jpeg90") for name, took in (MS | ms).items()]
    return Cell(network="resnet18", form="frame", mbit=mbit, rtt_ms=20.0, measured=measured)


CELLS = Report(
    machine="2 cores",
    date="2026-01-01",
    load=0.5,
    share=0.2,
    cells=[cell(1.0, **{DEFAULT: 90.0}), cell(20.0)],
    costs=[],
)


def outcome(predicted_ms: float, latency_ms: float) -> Outcome:
    return Outcome(
        cut="image",
        codec="u8",
        reason="chosen",
        latency_ms=latency_ms,
        energy_mj=10.0,
        cost=0.0,
        predicted_ms=predicted_ms,
        predicted_mj=10.0,
        predicted_cost=0.0,
    )


LIVE = LiveReport(
    date="2026-01-01",
    load=0.5,
    share=0.2,
    due=3,
    predicted=[Predicted(model="net", form="file", mbit=2.0, outcomes=[outcome(10.0, 12.5), outcome(20.0, 20.0)])],
    reactions=[Reaction(name="50 to 5 Mbit/s, net, frames", there=[1, 2, 5], back=[3])],
    capped=[
        Capped(kind="energy", cap=10.0, predicted=9.0, measured=11.0),
        Capped(kind="energy", cap=10.0, predicted=9.0, measured=5.0),
        Capped(kind="cost", cap=0.1, predicted=0.05, measured=0.05),
    ],
)


def test_ratios_stand_beside_the_line_at_one() -> None:
    figure = Figure(figsize=(9.0, 4.0))
    alternatives.draw_ratios(figure, CELLS)
    (axes,) = figure.axes
    at_one, first, *_ = axes.lines
    assert np.allclose(np.asarray(at_one.get_xdata(), float), 1.0)
    # The best cell stands on top.
    assert np.allclose(np.asarray(first.get_xdata(), float), [50 / 60, 90 / 60])
    assert "20 Mbit/s" in axes.get_yticklabels()[0].get_text()
    assert "as fast or faster in 1 of 2 cells" in figure.get_suptitle()


def test_what_is_kept_can_be_drawn_again(tmp_path: Path) -> None:
    kept = tmp_path / "alternatives.json"
    kept.write_bytes(msgspec.json.encode(CELLS))
    alternatives.main([str(kept)])
    assert {path.name for path in tmp_path.glob("*.png")} == {"alternatives.png", "alternatives-ratios.png"}
    kept = tmp_path / "live.json"
    kept.write_bytes(msgspec.json.encode(LIVE))
    live.main([str(kept)])
    assert (tmp_path / "live.png").exists()


def test_a_live_report_says_in_its_titles_what_was_found() -> None:
    figure = Figure(figsize=(12.0, 8.0))
    live.draw(figure, LIVE)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    assert titles == [
        "2 calls: predictions are off by 10.0 % in the median",
        "Right again in time in 3 of 4 trials",
        "Caps were exceeded by 1 of 3 calls",
    ]


def test_memory_over_requests(tmp_path: Path) -> None:
    figures = {"rss_mb": 200.0, "uss_mb": 150.0, "rest_mb": 100.0}
    samples = [Sample(place, side, 1, figures, toured=place % 20 == 0) for place in range(0, 100, 10) for side in SIDES]
    soak.plot(samples, 100, tmp_path / "soak.png")
    figure = Figure()
    soak.draw(figure, samples, 100)
    assert [len(np.asarray(line.get_xdata())) for line in figure.axes[0].lines] == [10, 5] * 3
