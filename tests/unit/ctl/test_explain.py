"""`collabctl explain`: what was considered for a call, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


def test_a_call_and_its_candidates(run: Run) -> None:
    said = run("explain").stdout
    assert "net, 2.50 s ago" in said
    assert "answer     tabby cat 0.83" in said
    assert "cut features.2 as q8 to desktop (chosen)" in said
    assert "312 ms, predicted 40.0, budget missed" in said
    assert "fidelity   99.5 % promised by 99.3 % of 812 pictures here (and 15 from the package)" in said
    assert "desktop did not answer" in said
    rows = [line.split() for line in said.splitlines() if line.startswith(("output", "features.2"))]
    assert rows == [
        ["output", "none", "143", "179", "429", "0", "99.50%", "over-latency"],
        ["features.2", "q8", "40.0", "50.0", "120", "0.00125", "99.50%", "chosen"],
    ]


def test_several_companions_are_told_apart(run: Run, daemon: LittleDaemon) -> None:
    (decision,) = daemon.answers["GET /collab/v1/explain"]["decisions"]
    decision["candidates"].append(decision["candidates"][1] | {"cloud": "lab", "verdict": "worse"})
    said = run("explain", env={"COLUMNS": "80"}).stdout
    rows = [line.split()[-2:] for line in said.splitlines() if line.startswith(("output", "features.2"))]
    assert rows == [["over-latency", "-"], ["chosen", "desktop"], ["worse", "lab"]]


def test_a_plan_with_several_crossings(run: Run, daemon: LittleDaemon) -> None:
    (decision,) = daemon.answers["GET /collab/v1/explain"]["decisions"]
    decision |= {"cut": "DCD", "placement": "DCD"}
    decision["candidates"][1]["cut"] = "DCD"
    said = run("explain").stdout
    assert "layers 1D 1C 1D as q8 to desktop (chosen)" in said
    assert [line.split()[:4] for line in said.splitlines() if line.startswith("1D")] == [["1D", "1C", "1D", "q8"]]


def test_a_companion_that_was_found_elsewhere(run: Run, daemon: LittleDaemon) -> None:
    assert "companion  " not in run("explain").stdout
    daemon.answers["GET /collab/v1/explain"]["found_at"] = {"desktop": "https://192.168.1.77:8470"}
    assert "companion  desktop, found at https://192.168.1.77:8470" in run("explain").stdout


def test_who_took_over_is_named(run: Run, daemon: LittleDaemon) -> None:
    assert "ran on" not in run("explain").stdout
    daemon.answers["GET /collab/v1/explain"]["decisions"][0]["ran_on"] = "attic"
    assert "attic, in the place of desktop" in run("explain").stdout


def test_how_many(run: Run, daemon: LittleDaemon) -> None:
    run("explain", "--last", "7")
    assert daemon.asked[-1].query == "last=7"
    assert run("explain", "--last", "0").exit_code == 2


def test_a_fixed_placement_and_no_call_at_all(run: Run, daemon: LittleDaemon) -> None:
    report = daemon.answers["GET /collab/v1/explain"]
    report["decisions"][0] |= {"reason": "fixed", "candidates": [], "degraded": False, "budget_met": True}
    said = run("explain").stdout
    assert "(fixed)" in said
    assert "verdict" not in said
    assert "degraded" not in said
    report["decisions"] = []
    assert run("explain").stdout.split() == ["decisions", "none", "yet"]


def test_a_column_tells_precisions_apart_where_they_differ(run: Run, daemon: LittleDaemon) -> None:
    assert "precision" not in run("explain").stdout
    (decision,) = daemon.answers["GET /collab/v1/explain"]["decisions"]
    decision["precision"] = "int8/fp32"
    decision["candidates"].append(decision["candidates"][1] | {"precision": "int8/fp32", "verdict": "worse"})
    said = run("explain", env={"COLUMNS": "80"}).stdout
    assert "cut features.2 as q8 to desktop in int8/fp32 (chosen)" in said
    assert max(map(len, said.splitlines())) <= 80
    rows = [line.split()[:3] for line in said.splitlines() if line.startswith("features.2")]
    assert rows == [["features.2", "q8", "fp32"], ["features.2", "q8", "int8/fp32"]]
