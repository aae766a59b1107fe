"""What the comparison with plain servers makes of its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from tests.bench.alternatives.caller import ANY, BARE, BARE_INT8, DEFAULT, FIXED_JPEG, JPEG, LOCAL, MINIMAL, RAW
from tests.bench.alternatives.orders import Costs, Measured, Spending
from tests.bench.alternatives.plot import plot
from tests.bench.alternatives.report import RATIOS, Cell, Cost, Report, markdown, put_between, sections

MS = {
    BARE: 50.0,
    JPEG: 40.0,
    RAW: 100.0,
    DEFAULT: 60.0,
    ANY: 44.0,
    FIXED_JPEG: 45.0,
    LOCAL: 55.0,
    "collabd, a/q8": 42.0,
}


def cell(mbit: float, times: float = 1.0) -> Cell:
    """Medians of `MS`, those of collabd multiplied by `times`, and each predicted 10 % too short."""
    ours = {name: ms * (times if name.startswith("collabd") else 1.0) for name, ms in MS.items()}
    measured = [
        Measured(
            name=name,
            latencies_ms=[ms, ms * 9, ms / 2],
            plan="a/q8" if name.startswith("collabd") else "",
            predicted_ms=[ms * 0.9] if name.startswith("collabd") else [],
        )
        for name, ms in ours.items()
    ]
    return Cell(network="net", form="frame", mbit=mbit, rtt_ms=20, measured=measured)


def report() -> Report:
    bare = Spending(name=BARE, caller_ms=10, caller_faults=0)
    ours = Spending(name=LOCAL, caller_ms=1, caller_faults=2, daemon_ms=12, daemon_faults=300, daemon_read_kb=922)
    minimal = Spending(name=MINIMAL, caller_ms=1, caller_faults=0, daemon_ms=11, daemon_read_kb=922)
    cost = Cost(network="net", form="frame", costs=Costs([bare, minimal, ours]))
    return Report(
        machine="a PC", date="2026-01-01", load=0.1, share=0.2, cells=[cell(5), cell(20, times=4)], costs=[cost]
    )


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("local call / bare ONNX Runtime", 55 / 50),
        ("best plan / best simple alternative", 42 / 40),
        ("out of the box / always JPEG", 60 / 40),
        ("any fidelity / best simple alternative", 44 / 40),
        ("out of the box / best simple alternative", 60 / 40),
    ],
)
def test_ratios_are_those_of_medians(name: str, ratio: float) -> None:
    assert RATIOS[name](cell(5)) == pytest.approx(ratio)


def test_an_int8_graph_is_a_simple_alternative_where_there_is_one() -> None:
    fast = Measured(name=BARE_INT8, latencies_ms=[20.0])
    one = replace(cell(5), measured=[*cell(5).measured, fast])
    assert (cell(5).best_simple, one.best_simple) == (JPEG, BARE_INT8)
    assert RATIOS["best plan / best simple alternative"](one) == pytest.approx(42 / 20)


def test_of_a_pair_the_mean_counts_but_for_the_slowest_calls() -> None:
    # Of twenty calls the little network answers ten; one more was disturbed.
    latencies = Measured(name=DEFAULT, latencies_ms=[10.0, 30.0] * 10 + [900.0])
    assert replace(cell(5), network="vgg16_cifar10").usual_ms(latencies) == pytest.approx(20.0)
    assert cell(5).usual_ms(latencies) == 30.0


def test_the_table_has_mean_and_worst_cell() -> None:
    lines = markdown(report()).splitlines()
    assert "| best plan / best simple alternative | 2 | 2.10 | 1.05 | 4.20 | net, frame, 20 Mbit/s, 20 ms |" in lines
    assert any("off by 10.0% in the median" in line for line in lines)


def test_what_a_call_costs_is_told_beyond_the_bare_work() -> None:
    (ours,) = [line for line in markdown(report()).splitlines() if f"| {LOCAL} |" in line]
    assert "| 13.0 ms | 3.00 ms | 1.00 ms | 12.0 ms | 2 + 300 | 922 kB |" in ours


def test_a_page_gets_the_tables_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<a>\nold\n</a>\nbehind\n")
    put_between(("<a>", "</a>"), page, "| new |\n")
    assert page.read_text() == "before\n<a>\n\n| new |\n\n</a>\nbehind\n"
    with pytest.raises(ValueError, match="has no lines <b> and </a>"):
        put_between(("<b>", "</a>"), page, "")


def test_detectors_have_a_section_of_their_own() -> None:
    both = replace(report(), cells=[*report().cells, replace(cell(5), network="finder")])
    found = sections(both, ["finder"])
    assert [cell.network for cell in found["bench-alternatives-detectors"].cells] == ["finder"]
    assert [cell.network for cell in found["bench-alternatives"].cells] == ["net", "net"]
    assert found["bench-alternatives"].costs == both.costs
    assert not found["bench-alternatives-detectors"].costs
    assert list(sections(report(), [])) == ["bench-alternatives"]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    plot(report(), tmp_path / "it.png")
    with Image.open(tmp_path / "it.png") as picture:
        assert min(picture.size) > 100
