"""`collabctl profile`: the time and bytes of each cut of a model here, and how the planner judges it now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from collab_sdk.vocabulary import Objective, Reason
from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, fields, json_option, table
from collabd.ctl.verdicts import TAKEN, VERDICTS, glossary

if TYPE_CHECKING:
    from collab_sdk import Budget
    from collab_sdk.reports import CodecReport, CutReport, LinkReport, ProfileReport
    from collabd.ctl.tables import Table

_FITS = (Reason.WORSE, Reason.NOT_WORTH_A_SWITCH)


@click.command(cls=Command, epilog=glossary("Verdicts:", VERDICTS))
@click.argument("model")
@click.option("--budget", metavar="TEXT", help="Caps and an objective, such as '80ms,150mJ,99%,min-energy'.")
@json_option
def profile(model: str, budget: str | None, as_json: bool) -> None:
    """Show what each cut of MODEL takes, and which is chosen.

    One row a candidate cut: the head's time on this device and the tail's on the companion, both as profiled on an idle
    machine; and, with the codec that does best, the total of a call as predicted for now, the bytes to send, how often
    the answer is to equal the unsplit network's (for images of which that is sure, and of all), and whether the planner
    would choose it or why not. The cut "image" leaves all layers to the companion, "output" keeps all on the device.
    'collabctl models show' lists all codecs.
    """
    with client() as daemon:
        emit(daemon.profile(model, budget), _render, as_json=as_json)


def _render(report: ProfileReport) -> Iterator[Table]:
    whole, preparation = figures.number(report["whole_ms"]), figures.number(report["prep_ms"])
    yield fields(
        {
            "model": f"{report['model']} ({figures.short_digest(report['digest'])})",
            "machine": f"{report['machine']}: whole network {whole} ms, image preparation {preparation} ms",
            "companion": figures.UNKNOWN if report["cloud"] is None else f"{report['cloud']}, {_link(report['link'])}",
            "budget": report["budget"] or "no caps",
        }
    )
    yield _cuts(report)


def _link(link: LinkReport | None) -> str:
    if link is None or link["age_s"] is None:
        return "the link is not measured yet"
    up, down, round_trip = (figures.number(link[key]) for key in ("up_mbps", "down_mbps", "rtt_ms"))
    age = figures.duration(link["age_s"])
    return f"{up} Mbit/s up, {down} down, round trip {round_trip} ms, measured {age} ago"


@dataclass(frozen=True)
class _CutRow:
    """A cut and the codec that does best there."""

    cut: CutReport
    codec: str
    best: CodecReport


def _cuts(report: ProfileReport) -> Table:
    from collab_sdk import Budget

    budget = Budget.parse(report["budget"])
    columns = _columns(report["rows"], budget)
    built = table(*columns, spare=(">overall", ">head ms", ">tail ms"), long_last="companion" in columns)
    for cut in report["rows"]:
        codec, best = _best(cut, _GOALS[budget.objective or Objective.LATENCY])
        style = "green" if best["verdict"] in TAKEN else ""
        built.add_row(*(cell(_CutRow(cut, codec, best)) for cell in columns.values()), style=style)
    return built


def _columns(cuts: list[CutReport], budget: Budget) -> dict[str, Callable[[_CutRow], str]]:
    """Headings and cells. A column is left out if all its cells are empty or the budget does not mention it."""
    columns: dict[str, Callable[[_CutRow], str]] = {"cut": lambda row: row.cut["cut"]}
    columns[">head ms"] = lambda row: figures.number(row.cut["head_ms"])
    columns[">tail ms"] = lambda row: figures.number(row.cut["tail_ms"])
    columns[">total ms"] = lambda row: figures.number(row.best["predicted_ms"])
    if budget.energy_mj is not None or budget.objective == Objective.ENERGY:
        columns[">mJ"] = lambda row: figures.number(row.best["predicted_energy_mj"])
    if budget.cost is not None or budget.objective == Objective.COST:
        columns[">cost"] = lambda row: figures.price(row.best["predicted_cost"])
    columns["with"] = lambda row: row.codec
    columns[">bytes"] = lambda row: figures.size(row.best["bytes"])
    columns[">fidelity"] = lambda row: figures.share(row.best["fidelity"])
    columns[">overall"] = lambda row: figures.share(row.best["overall"])
    columns["verdict"] = lambda row: row.best["verdict"]
    if len({cut["cloud"] for cut in cuts} - {None}) > 1:
        columns["companion"] = lambda row: row.cut["cloud"] or figures.UNKNOWN
    return columns


_GOALS: dict[Objective, Callable[[CodecReport], float | None]] = {
    Objective.LATENCY: lambda codec: codec["predicted_ms"],
    Objective.ENERGY: lambda codec: codec["predicted_energy_mj"],
    Objective.COST: lambda codec: codec["predicted_cost"],
}


def _best(cut: CutReport, goal: Callable[[CodecReport], float | None]) -> tuple[str, CodecReport]:
    """The codec that the planner chooses here; else the best one that fits the budget; else the best of all."""

    def rank(item: tuple[str, CodecReport]) -> tuple[int, float]:
        verdict, value = item[1]["verdict"], goal(item[1])
        tier = 0 if verdict in TAKEN else 1 if verdict in _FITS else 2
        return tier, math.inf if value is None else value

    return min(cut["codecs"].items(), key=rank)
