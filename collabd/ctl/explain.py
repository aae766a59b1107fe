"""`collabctl explain`: why the last calls ran as they did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, styled, table
from collabd.ctl.verdicts import REASONS, TAKEN, VERDICTS, glossary

if TYPE_CHECKING:
    from collab_sdk.reports import CandidateReport, DecisionReport, ExplainReport
    from collabd.ctl.tables import Table


@click.command(cls=Command, epilog=glossary("Verdicts:", VERDICTS | REASONS))
@click.option(
    "--last", type=click.IntRange(min=1), default=1, show_default=True, help="How many calls to show, latest first."
)
@json_option
def explain(last: int, as_json: bool) -> None:
    """Show the plans that were considered for the last calls, and why each was taken or not.

    "safe" is the latency that the deadline quantile of calls stays under: what a latency cap is held against. A plan
    with several crossings has no cut but its layers: 2D 4C 1D runs two on the device, four on the companion, one here.
    """
    with client() as daemon:
        emit(daemon.explain(last), _render, as_json=as_json)


def _render(report: ExplainReport) -> Iterator[Table]:
    if not report["decisions"]:
        yield fields({"decisions": "none yet"})
    for decision in report["decisions"]:
        yield fields(_summary(decision))
        if decision["candidates"]:
            yield _candidates(decision["candidates"], len(decision["placement"]))


def _summary(decision: DecisionReport) -> dict[str, str]:
    outcome = f"{figures.number(decision['measured_ms'])} ms, predicted {figures.number(decision['predicted_ms'])}"
    missed = "" if decision["budget_met"] else ", budget missed"
    summary = {
        "call": f"{decision['model']}, {figures.number(decision['age_s'])} s ago",
        "budget": decision["budget"] or "no caps",
        "plan": figures.plan(
            decision["cut"],
            placement=decision["placement"],
            codec=decision["codec"],
            cloud=decision["cloud"],
            reason=decision["reason"],
        ),
        "took": outcome + missed,
    }
    return summary | ({"degraded": decision["why"]} if decision["degraded"] else {})


def _candidates(candidates: list[CandidateReport], layers: int) -> Table:
    several = len({candidate["cloud"] for candidate in candidates} - {None}) > 1
    headings = ("cut", "codec", ">ms", ">safe ms", ">mJ", ">cost", ">fidelity", "verdict", *["companion"] * several)
    built = table(*headings, spare=("cost", "mJ", "fidelity"), long_last=several)
    for candidate in candidates:
        verdict = candidate["verdict"]
        built.add_row(
            figures.cut(candidate["cut"], layers),
            candidate["codec"],
            figures.number(candidate["predicted_ms"]),
            figures.number(candidate["deadline_ms"]),
            figures.number(candidate["energy_mj"]),
            f"{candidate['cost']:.3g}",
            f"{candidate['fidelity']:.2%}",
            styled(verdict, "bold" if verdict in TAKEN else ""),
            *[candidate["cloud"] or figures.UNKNOWN] * several,
        )
    return built
