"""`collabctl profile`: the time and bytes of each cut of a model here, and how the planner judges it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import TAKEN, Objective, Precision
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, table
from collabd.ctl.picture import check, plot_option
from collabd.ctl.verdicts import VERDICTS, glossary
from collabd.plots.best import BestAtCut, best_at_cuts

if TYPE_CHECKING:
    from pathlib import Path

    from collab_sdk import Budget
    from collab_sdk.reports import CutReport, LinkReport, ProfileReport
    from collabd.ctl.tables import Table


@click.command(cls=Command, epilog=glossary("Verdicts:", VERDICTS))
@click.argument("model")
@click.option("--budget", metavar="TEXT", help="Caps and an objective, such as '80ms,150mJ,99%,min-energy'.")
@plot_option
@json_option
def profile(model: str, *, budget: str | None, picture: Path | None, as_json: bool) -> None:
    """Show what each cut of MODEL takes, and which is chosen.

    One row a candidate cut: the head's time on this device and the tail's on the companion, both as profiled on an idle
    machine; and, with the codec and the precision that do best, the total of a call as predicted for now, the bytes to
    send, how often the answer is to equal the unsplit fp32 network's (for images of which that is sure, and of all),
    and whether the planner would choose it or why not. "Seen" are the pictures that promise the fidelity: 812+15 are
    812 of this device's calls, which it audits while it is idle, and what still counts of the package's. The cut
    "image" leaves all layers to the companion, "output" keeps all on the device. 'collabctl models show' lists all
    codecs. '--plot' draws where the time of a call goes at each cut, what would be sent, and every plan's latency and
    fidelity.
    """
    check(picture)
    with client() as daemon:
        report = daemon.profile(model, budget)
    if picture is not None:
        from collabd.plots.profile.picture import plot

        plot(report, picture)
    emit(report, _render, as_json=as_json)


def _render(report: ProfileReport) -> Iterator[Table]:
    whole, preparation = f"{figures.number(report['whole_ms'])} ms", figures.number(report["prep_ms"])
    if report["whole_int8_ms"] is not None:
        whole += f", in int8 {figures.number(report['whole_int8_ms'])} ms"
    yield fields(
        {
            "model": f"{report['model']} ({figures.short_digest(report['digest'])})",
            "machine": f"{report['machine']}: whole network {whole}, image preparation {preparation} ms",
            "companion": figures.UNKNOWN if report["cloud"] is None else f"{report['cloud']}, {_link(report['link'])}",
            "budget": report["budget"] or "no caps",
            "fidelity": report["measure"],
        }
        | _counted(report)
    )
    yield _cuts(report)


def _counted(report: ProfileReport) -> dict[str, str]:
    """What the fidelity of the plan that is taken is promised by, if that is counted."""
    for cut in report["rows"]:
        for codec, best in cut["codecs"].items():
            if best["verdict"] in TAKEN and best["evidence"] is not None:
                return {"counted": f"{figures.evidence(best['evidence'])}, for {codec} at {cut['cut']}"}
    return {}


def _link(link: LinkReport | None) -> str:
    if link is None or link["age_s"] is None:
        return "the link is not measured yet"
    up, down, round_trip = (figures.number(link[key]) for key in ("up_mbps", "down_mbps", "rtt_ms"))
    age = figures.duration(link["age_s"])
    return f"{up} Mbit/s up, {down} down, round trip {round_trip} ms, measured {age} ago"


def _cuts(report: ProfileReport) -> Table:
    from collab_sdk import Budget

    budget = Budget.parse(report["budget"])
    columns = _columns(report["rows"], budget)
    built = table(*columns, spare=("overall", "seen", "head ms", "tail ms"), long_last="companion" in columns)
    for best in best_at_cuts(report):
        style = "green" if best.taken else ""
        built.add_row(*(cell(best) for cell in columns.values()), style=style)
    return built


def _columns(cuts: list[CutReport], budget: Budget) -> dict[str, Callable[[BestAtCut], str]]:
    """Headings and cells. A column is left out if all its cells are empty or the budget does not mention it."""
    columns: dict[str, Callable[[BestAtCut], str]] = {"cut": lambda row: row.cut["cut"]}
    columns[">head ms"] = lambda row: figures.number(row.cut["head_ms"])
    columns[">tail ms"] = lambda row: figures.number(row.cut["tail_ms"])
    columns[">total ms"] = lambda row: figures.number(row.best["predicted_ms"])
    if budget.energy_mj is not None or budget.objective == Objective.ENERGY:
        columns[">mJ"] = lambda row: figures.number(row.best["predicted_energy_mj"])
    if budget.cost is not None or budget.objective == Objective.COST:
        columns[">cost"] = lambda row: figures.price(row.best["predicted_cost"])
    columns["with"] = lambda row: row.codec
    if any(cut["precision"] != Precision.FP32 for cut in cuts):
        columns["in"] = lambda row: row.cut["precision"]
    if any(cut["cascade"] for cut in cuts):
        columns["little"] = lambda row: figures.cascade(
            row.cut["cascade"], row.cut["little_share"], row.cut["little_precision"]
        )
    columns[">bytes"] = lambda row: figures.size(row.best["bytes"])
    columns[">fidelity"] = lambda row: figures.share(row.best["fidelity"])
    columns[">overall"] = lambda row: figures.share(row.best["overall"])
    columns[">seen"] = lambda row: figures.pictures(row.best["evidence"])
    columns["verdict"] = lambda row: row.best["verdict"]
    if len({cut["cloud"] for cut in cuts} - {None}) > 1:
        columns["companion"] = lambda row: row.cut["cloud"] or figures.UNKNOWN
    return columns
