"""`collabctl explain`: why the last calls ran as they did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import TAKEN, Precision
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, styled, table
from collabd.ctl.picture import check, plot_option
from collabd.ctl.verdicts import REASONS, VERDICTS, glossary

if TYPE_CHECKING:
    from pathlib import Path

    from collab_sdk.reports import CandidateReport, DecisionReport, ExplainReport
    from collabd.ctl.tables import Table


@click.command(cls=Command, epilog=glossary("Verdicts:", VERDICTS | REASONS))
@click.option(
    "--last", type=click.IntRange(min=1), default=1, show_default=True, help="How many calls to show, latest first."
)
@plot_option
@json_option
def explain(*, last: int, picture: Path | None, as_json: bool) -> None:
    """Show the last calls: their answers, the plans that were considered, and why each was taken or not.

    "safe" is the latency that the deadline quantile of calls stays under: what a latency cap is held against. A plan
    with several crossings has no cut but its layers: 2D 4C 1D runs two on the device, four on the companion, one here.
    "little network" says when a plan asks the little network of a pair, in which precision, and which part of the calls
    that is expected to answer: "ms", "mJ" and "cost" are then means over all calls, and "safe ms" is of those that it
    leaves. '--plot' draws all plans that were considered for the last call; of several calls ('--last') what was
    predicted and what they took.
    """
    check(picture)
    with client() as daemon:
        report = daemon.explain(last)
    if picture is not None:
        from collabd.plots.explain.picture import plot

        plot(report, picture)
    emit(report, _render, as_json=as_json)


def _render(report: ExplainReport) -> Iterator[Table]:
    if not report["decisions"]:
        yield fields({"decisions": "none yet"})
    for decision in report["decisions"]:
        yield fields(_summary(decision, report["found_at"]))
        if decision["candidates"]:
            yield _candidates(decision["candidates"], len(decision["placement"]))


def _summary(decision: DecisionReport, found_at: dict[str, str]) -> dict[str, str]:
    outcome = f"{figures.number(decision['measured_ms'])} ms, predicted {figures.number(decision['predicted_ms'])}"
    missed = "" if decision["budget_met"] else ", budget missed"
    summary = {
        "call": f"{decision['model']}, {figures.number(decision['age_s'])} s ago",
        "answer": decision["answer"],
        "budget": decision["budget"] or "no caps",
        "plan": figures.plan(decision),
        "took": outcome + missed,
    }
    if decision["cloud"] in found_at:
        summary["companion"] = f"{decision['cloud']}, found at {found_at[decision['cloud']]}"
    if decision["ran_on"] not in {None, decision["cloud"]}:
        summary["ran on"] = f"{decision['ran_on']}, in the place of {decision['cloud']}"
    if decision["answered_by"] is not None:
        summary["answered"] = decision["why"]
    taken = next((each for each in decision["candidates"] if each["verdict"] in TAKEN and each["evidence"]), None)
    if taken is not None:
        counted = figures.evidence(taken["evidence"])
        summary["fidelity"] = f"{figures.share(taken['fidelity'])} promised by {counted}"
    return summary | ({"degraded" if decision["degraded"] else "why": decision["why"]} if decision["why"] else {})


def _little(candidate: CandidateReport) -> str:
    return figures.cascade(candidate["cascade"], candidate["little_share"], candidate["little_precision"])


def _candidates(candidates: list[CandidateReport], layers: int) -> Table:
    several = len({candidate["cloud"] for candidate in candidates} - {None}) > 1
    mixed = any(candidate["precision"] != Precision.FP32 for candidate in candidates)
    pairs = any(candidate["cascade"] for candidate in candidates)
    headings = (
        "cut",
        "codec",
        *["precision"] * mixed,
        *["little network"] * pairs,
        ">ms",
        ">safe ms",
        ">mJ",
        ">cost",
        ">fidelity",
        "verdict",
        *["companion"] * several,
    )
    built = table(*headings, spare=("cost", "mJ", "fidelity"), long_last=several)
    for candidate in candidates:
        verdict = candidate["verdict"]
        built.add_row(
            figures.cut(candidate["cut"], layers),
            candidate["codec"],
            *[candidate["precision"]] * mixed,
            *[_little(candidate)] * pairs,
            figures.number(candidate["predicted_ms"]),
            figures.number(candidate["deadline_ms"]),
            figures.number(candidate["energy_mj"]),
            f"{candidate['cost']:.3g}",
            f"{candidate['fidelity']:.2%}",
            styled(verdict, "bold" if verdict in TAKEN else ""),
            *[candidate["cloud"] or figures.UNKNOWN] * several,
        )
    return built
