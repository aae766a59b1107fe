"""Measure, print the tables, and keep them: `make bench-alternatives`."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import get_args

import click
import msgspec

from collabd.profiling.machine import describe
from collabd.simulation.slow_cpu import NoSlowCpu
from tests.bench.alternatives import orders
from tests.bench.alternatives.device import field
from tests.bench.alternatives.networks import CIFAR, DETECTORS, PAIRS, SHIPPED, TORCHVISION, package
from tests.bench.alternatives.orders import Form
from tests.bench.alternatives.plot import plot
from tests.bench.alternatives.report import Cell, Cost, Report, markdown, put_between, sections
from tests.bench.device import SHARE

_PHOTOGRAPHIC = ("mobilenet_v2", "efficientnet_lite0", "resnet18", "resnet50")
_RATES, _RTTS_MS, _FULL_RTTS_MS = (1.0, 5.0, 20.0, 100.0), (20.0,), (5.0, 20.0, 40.0)
_CELL_S = 20.0
# Of a pair so many times as many calls are made: how long one takes depends on the picture.
_OF_A_PAIR = 5
# CPU time is counted with a whole core, since throttling would only make it longer.
_COUNTED = ("mobilenet_v2", "resnet18")
_BATCHES, _CALLS = 5, 20

# A network, the form of its images, the rate of the link in Mbit/s, and its round trip in ms.
Place = tuple[str, Form, float, float]


@click.command()
@click.option("--network", "networks", multiple=True, type=click.Choice((*SHIPPED, *TORCHVISION)))
@click.option("--form", "forms", multiple=True, type=click.Choice(get_args(Form)))
@click.option("--mbit", "rates", multiple=True, type=float, help="Rates of the link.")
@click.option("--rtt-ms", "rtts_ms", multiple=True, type=float, help="Round trips of the link.")
@click.option("--full", is_flag=True, help="Files too, the networks of CIFAR-10, and more round trips.")
@click.option("--rounds", default=11, show_default=True, type=click.IntRange(min=1), help="Calls of each in a cell.")
@click.option("--only", type=click.Choice(["cells", "costs"]), help="Only compare latencies, or only count CPU time.")
@click.option("--into", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="A page for the tables.")
@click.option("--out", default=Path("build/bench"), type=click.Path(file_okay=False, path_type=Path))
def main(
    *,
    networks: tuple[str, ...],
    forms: tuple[Form, ...],
    rates: tuple[float, ...],
    rtts_ms: tuple[float, ...],
    full: bool,
    rounds: int,
    only: str | None,
    into: Path | None,
    out: Path,
) -> None:
    """Compare collabd with what a user would write instead, on a device that is slow in all that it does.

    Without options: the networks for photographs, camera frames, all rates, a round trip of 20 ms.
    """
    chosen = networks or (_PHOTOGRAPHIC + CIFAR if full else _PHOTOGRAPHIC)
    places: list[Place] = [
        (network, form, mbit, rtt_ms)
        for network in chosen
        for form in forms or _forms(network, full=full)
        # With files other round trips show nothing new.
        for rtt_ms in rtts_ms or (_FULL_RTTS_MS if full and form == "frame" else _RTTS_MS)
        for mbit in rates or _RATES
    ]
    try:
        report = asyncio.run(_measured(places, networks or _COUNTED, rounds=rounds, only=only, out=out))
    except NoSlowCpu as error:
        sys.exit(f"This bench needs a slow device: {error}.")
    tables = markdown(report)
    (out / "alternatives.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    (out / "alternatives.md").write_text(tables)
    if report.cells:
        plot(report, out / "alternatives.png")
    if into is not None:
        for name, part in sections(report, DETECTORS).items():
            put_between((f"<!-- begin: {name} -->", f"<!-- end: {name} -->"), into, markdown(part))
    print(tables)


def _forms(network: str, *, full: bool) -> tuple[Form, ...]:
    return ("file",) if network in CIFAR else ("frame", "file") if full else ("frame",)


async def _measured(
    places: Sequence[Place], counted: Sequence[str], *, rounds: int, only: str | None, out: Path
) -> Report:
    load = os.getloadavg()[0]
    cells = [] if only == "costs" else await _compared(places, rounds, out)
    costs = [] if only == "cells" else await _counted(counted, out)
    machine = describe()
    return Report(
        machine=f"{machine.cores} cores of {machine.cpu}, ONNX Runtime {machine.onnxruntime}",
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        load=load,
        share=SHARE,
        cells=cells,
        costs=costs,
    )


async def _compared(places: Sequence[Place], rounds: int, out: Path) -> list[Cell]:
    cells = []
    networks = dict.fromkeys(network for network, *_ in places)
    async with field(_packages(networks, out), share=SHARE, profiles=out / "profiles") as it:
        for network, form, mbit, rtt_ms in places:
            it.link(mbit=mbit, rtt_ms=rtt_ms)
            more = _OF_A_PAIR if network in PAIRS else 1
            order = orders.Compare(network=network, form=form, rounds=more * rounds, most_s=more * _CELL_S)
            measured = (await it.caller.ask(order, orders.Comparison)).measured
            cells.append(Cell(network=network, form=form, mbit=mbit, rtt_ms=rtt_ms, measured=measured))
            print(cells[-1], flush=True)
    return cells


async def _counted(networks: Sequence[str], out: Path) -> list[Cost]:
    costs = []
    async with field(_packages(networks, out), share=1.0, profiles=out / "profiles") as it:
        for network, form in product(networks, get_args(Form)):
            order = orders.Cost(network=network, form=form, batches=_BATCHES, calls=_CALLS)
            costs.append(Cost(network=network, form=form, costs=await it.caller.ask(order, orders.Costs)))
    return costs


def _packages(networks: Sequence[str] | dict[str, None], out: Path) -> dict[str, Path]:
    print("Packages are built, and profiles measured, where there are none yet.", flush=True)
    littles = [PAIRS[network] for network in networks if network in PAIRS]
    return {network: package(network, out / "packages") for network in dict.fromkeys([*networks, *littles])}


if __name__ == "__main__":
    main()
