"""`collabctl profile`: one row a cut, and what its verdict means."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from collab_sdk.vocabulary import TAKEN, Reason
from collabd.ctl.verdicts import REASONS, VERDICTS

if TYPE_CHECKING:
    from tests.unit.ctl.conftest import LittleDaemon, Run


def rows(said: str) -> dict[str, dict[str, str]]:
    """The table's cells by cut and heading."""
    lines = said.partition("\n\n")[2].replace(" ms", "_ms").replace(" %", "_%").splitlines()
    headings = lines[0].split()
    return {line.split()[0]: dict(zip(headings, line.split(), strict=True)) for line in lines[1:]}


def codecs(report: Any, cut: str) -> dict[str, Any]:
    (row,) = (row for row in report["rows"] if row["cut"] == cut)
    found: dict[str, Any] = row["codecs"]
    return found


@pytest.fixture
def report(daemon: LittleDaemon) -> Any:
    """What the daemon will answer; tests change it."""
    return daemon.answers["GET /collab/v1/profile/net"]


def test_a_row_a_cut(run: Run) -> None:
    found = rows(run("profile", "net").stdout)
    assert list(found) == ["output", "image", "features.2"]
    assert found["features.2"] == {
        "cut": "features.2",
        "head_ms": "14.2",
        "tail_ms": "9.75",
        "total_ms": "41.5",
        "with": "q8",
        "bytes": "40.1k",
        "fidelity": "99.5_%",
        "overall": "97.5_%",
        "seen": "812+15",
        "verdict": "chosen",
    }
    assert (found["output"]["tail_ms"], found["output"]["seen"]) == ("-", "-")


def test_above_it_machine_companion_link_and_budget(run: Run) -> None:
    assert run("profile", "net").stdout.partition("\n\n")[0].splitlines() == [
        "model      net (0123456789ab)",
        "machine    Cortex-A72, 4 threads: whole network 143 ms, image preparation 2.04 ms",
        "companion  desktop, 21.5 Mbit/s up, 80.0 down, round trip 12.2 ms, measured 3 s ago",
        "budget     80ms",
        "fidelity   how often the top-1 is right",
        "counted    99.3 % of 812 pictures here (and 15 from the package), for q8 at features.2",
    ]


def test_the_budget_is_asked_for(daemon: LittleDaemon, run: Run) -> None:
    run("profile", "net", "--budget", "80ms, 99%")
    assert parse_qs(daemon.asked[0].query) == {"budget": ["80ms,99%"]}


def test_a_budget_that_cannot_be_read_is_refused_in_one_line(daemon: LittleDaemon, run: Run) -> None:
    ran = run("profile", "net", "--budget", "80 parsecs")
    assert (ran.exit_code, ran.stdout, daemon.asked) == (1, "", [])
    assert ran.stderr.startswith("collabctl: unknown unit 'parsecs'")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verdicts", "best"),
    [
        ({"f32": "worse", "f16": "kept", "q8": "worse", "q4": "worse"}, "f16"),
        ({"f32": "worse", "f16": "not-worth-a-switch", "q8": "below-fidelity", "q4": "below-fidelity"}, "f16"),
        ({"f32": "over-latency", "f16": "over-latency", "q8": "over-latency", "q4": "below-fidelity"}, "q4"),
        ({"f32": "nearest", "f16": "over-latency", "q8": "over-latency", "q4": "over-latency"}, "f32"),
    ],
    ids=["taken", "fits", "fastest", "nearest"],
)
def test_the_total_is_that_of_the_best_codec(report: Any, run: Run, verdicts: dict[str, str], best: str) -> None:
    for codec, verdict in verdicts.items():
        codecs(report, "features.2")[codec]["verdict"] = verdict
    row = rows(run("profile", "net").stdout)["features.2"]
    assert (row["with"], row["verdict"]) == (best, verdicts[best])


def test_best_is_what_the_objective_says(report: Any, run: Run) -> None:
    report["budget"] = "min-energy"
    for codec in codecs(report, "features.2").values():
        codec["verdict"] = "worse"
    row = rows(run("profile", "net").stdout)["features.2"]
    assert (row["with"], row["mJ"]) == ("f32", "20.0")


@pytest.mark.parametrize(
    ("budget", "extra"),
    [("", set()), ("80ms", set()), ("150mJ", {"mJ"}), ("cost 0.002", {"cost"}), ("min-cost,1J", {"mJ", "cost"})],
)
def test_energy_and_cost_show_where_the_budget_speaks_of_them(
    report: Any, run: Run, budget: str, extra: set[str]
) -> None:
    report["budget"] = budget
    found = rows(run("profile", "net").stdout)["features.2"]
    assert found.keys() & {"mJ", "cost"} == extra
    assert found.get("cost", "2.5e-06") == "2.5e-06"


def test_a_prediction_that_is_not_known_is_a_dash_and_never_best(report: Any, run: Run) -> None:
    codecs(report, "features.2")["q8"] |= {"predicted_ms": None, "verdict": "worse"}
    assert rows(run("profile", "net").stdout)["features.2"]["with"] == "f16"
    codecs(report, "output")["none"]["predicted_ms"] = None
    assert rows(run("profile", "net").stdout)["output"]["total_ms"] == "-"


def test_several_companions_are_told_apart(report: Any, run: Run) -> None:
    other = copy.deepcopy(report["rows"][2]) | {"cloud": "cluster", "cut": "far.2"}
    report["rows"].append(other)
    found = rows(run("profile", "net").stdout)
    assert {cut: row["companion"] for cut, row in found.items()} == {
        "output": "-",
        "image": "desktop",
        "features.2": "desktop",
        "far.2": "cluster",
    }


def test_before_anything_is_measured(report: Any, run: Run) -> None:
    report |= {"machine": "not profiled yet", "prep_ms": None, "cloud": None, "link": None, "budget": ""}
    del report["rows"][1:]
    said = run("profile", "net").stdout
    assert "not profiled yet: whole network 143 ms, image preparation - ms" in said
    assert "companion  -\nbudget     no caps\n" in said
    assert rows(said)["output"].keys() == {
        "cut", "head_ms", "tail_ms", "total_ms", "with", "bytes", "fidelity", "overall", "seen", "verdict",
    }  # fmt: skip


@pytest.mark.parametrize("link", [None, {"rtt_ms": None, "up_mbps": None, "down_mbps": None, "age_s": None}])
def test_a_link_that_was_never_used(report: Any, run: Run, link: Any) -> None:
    report["link"] = link
    assert "companion  desktop, the link is not measured yet\n" in run("profile", "net").stdout


def test_every_verdict_of_the_planner_is_explained() -> None:
    assert {*VERDICTS} == {*Reason} - {Reason.FIXED}
    assert {*REASONS} == {*TAKEN, Reason.FIXED}
    assert {*TAKEN} <= {*VERDICTS}


@pytest.mark.parametrize(("command", "meanings"), [("profile", VERDICTS), ("infer", REASONS)])
def test_the_help_explains_them(run: Run, command: str, meanings: dict[str, str]) -> None:
    lines = run(command, "--help").stdout.splitlines()
    for name, meaning in meanings.items():
        assert any(line.split(maxsplit=1) == [name, meaning] for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_precision_that_does_best_stands_in_the_row(report: Any, run: Run) -> None:
    assert "in" not in rows(run("profile", "net").stdout)["features.2"]
    (fp32,) = (row for row in report["rows"] if row["cut"] == "features.2")
    int8 = copy.deepcopy(fp32) | {"precision": "int8/fp32", "head_ms": 6.5}
    report["rows"].append(int8)
    report["whole_int8_ms"] = 61.0
    for kept in (fp32, int8):
        for codec in kept["codecs"].values():
            codec["verdict"] = "worse"
    int8["codecs"]["q8"]["verdict"] = "chosen"
    narrow = run("profile", "net", env={"COLUMNS": "80"}).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert "Not shown for want of room: overall, seen" in narrow
    assert "('| less -S' or --json shows all)" in " ".join(narrow.split())
    said = run("profile", "net").stdout
    assert "whole network 143 ms, in int8 61.0 ms, image" in " ".join(said.split())
    found = rows(said)
    assert list(found) == ["output", "image", "features.2"]
    assert {key: found["features.2"][key] for key in ("with", "in", "verdict")} == {
        "with": "q8",
        "in": "int8/fp32",
        "verdict": "chosen",
    }
    assert found["output"]["in"] == "fp32"
