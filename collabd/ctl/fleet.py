"""`collabctl simulate --devices N`: many devices that share companions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from collabd.ctl import figures
from collabd.ctl.output import emit, fields, table

if TYPE_CHECKING:
    from collabd.ctl.tables import Table
    from collabd.simulation.fleet.report import FleetReport
    from collabd.simulation.fleet.scenario import FleetScenario

F = TypeVar("F", bound=Callable[..., Any])


class FleetsReport(TypedDict):
    """The results of fleets of several sizes, beside the same companions."""

    model: str
    links: list[str]
    companions: int
    saturated_by: int
    every_ms: float
    duration_s: float
    device_slowdown: float
    seed: int
    fleets: list[FleetReport]


def fleet_options(command: F) -> F:
    """The options of fleets."""
    for option in (
        click.option(
            "--duration-s",
            type=click.FloatRange(min=12),
            default=90.0,
            show_default=True,
            help="How long a fleet runs (with --devices); its figures are those of the last third.",
        ),
        click.option(
            "--saturated-by",
            type=click.IntRange(min=1),
            default=500,
            show_default=True,
            help="How many devices fill the companions, if each sends all of its requests (with --devices).",
        ),
        click.option(
            "--companions",
            type=click.IntRange(1, 64),
            default=4,
            show_default=True,
            help="How many companions the devices share; each is paired with two (with --devices).",
        ),
        click.option(
            "--devices",
            type=click.IntRange(1, 100_000),
            multiple=True,
            help="Simulate a fleet of so many devices in place of the comparison; you can give several numbers.",
        ),
    ):
        command = option(command)
    return command


def simulate_fleets(
    scenario: FleetScenario, sizes: Sequence[int], *, links: Sequence[str], picture: Path | None, as_json: bool
) -> None:
    """Run a fleet of each size, and show what came of it."""
    from collabd.simulation.fleet.simulate import simulate

    report = FleetsReport(
        model=scenario.package.manifest.name,
        links=list(links),
        companions=scenario.companions,
        saturated_by=scenario.saturated_by,
        every_ms=scenario.every_s * 1e3,
        duration_s=scenario.duration_s,
        device_slowdown=scenario.slowdown,
        seed=scenario.seed,
        fleets=[simulate(scenario, devices=devices) for devices in sorted(set(sizes))],
    )
    if picture is not None:
        from collabd.plots.fleet import plot

        plot(report["fleets"], picture, saturated_by=scenario.saturated_by)
    emit(report, _render, as_json=as_json)


def _render(report: FleetsReport) -> Iterator[Table]:
    yield fields(
        {
            "model": report["model"],
            "links": ", ".join(report["links"]),
            "companions": f"{report['companions']}, filled by {report['saturated_by']} devices",
            "requests": f"one every {report['every_ms']:g} ms of each device, for {report['duration_s']:g} s, "
            f"seed {report['seed']}",
        }
    )
    built = table(
        *(">devices", ">mean ms", ">p95 ms", ">alone ms", ">static ms", ">x static", ">offloaded", ">load"),
        *(">swing", ">refused/s", ">pings/s"),
        spare=("pings/s", "refused/s", "p95 ms", "alone ms"),
    )
    for one in report["fleets"]:
        built.add_row(
            str(one["devices"]),
            *(figures.number(one[key]) for key in ("mean_ms", "p95_ms", "alone_ms", "static_ms")),
            f"{one['vs_static']:.3f}",
            figures.share(one["offloaded"]),
            figures.share(one["load"]),
            figures.share(max(one["oscillation_offloaded"], one["oscillation_load"])),
            *(figures.number(one[key]) for key in ("refused_per_s", "pings_per_s")),
        )
    yield built
