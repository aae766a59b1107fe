"""`make soak`: many requests with plan switches, reloads, restarts and packages that come and go; nothing may grow."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from collabd.simulation.samples import load_samples
from tests.bench.shipped import MODELS
from tests.bench.table import table
from tests.soak import verdict
from tests.soak.bed import SLOWDOWN, SoakBed
from tests.soak.load import with_frames
from tests.soak.plot import plot
from tests.soak.run import CLIENTS, RATES_MBIT, Soak

_IMAGES = 16


@click.command()
@click.option("--requests", type=click.IntRange(min=2000), default=100_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw memory as this PNG.")
def main(requests: int, as_json: bool, picture: Path | None) -> None:
    """Call both daemons for long, and fail where an answer is lost or wrong, or where one of them grows."""
    requests -= requests % 100  # ten tenths that are alike
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="collabd-soak-") as directory:
        soak = asyncio.run(_soak(Path(directory), requests))
    rows = verdict.rows(soak.samples, requests)
    failures = _failures(soak, rows)
    if picture is not None:
        plot(soak.samples, requests, picture)
    if as_json:
        print(json.dumps(_report(soak, rows, failures), indent=2))
    else:
        _print(soak, rows, time.monotonic() - start)
    for failure in failures:
        click.echo(f"FAILED: {failure}", err=True)
    sys.exit(bool(failures))


async def _soak(directory: Path, requests: int) -> Soak:
    bed = SoakBed(MODELS, directory)
    async with bed.relay() as relay:
        with bed:
            soak = Soak(bed, relay, with_frames(load_samples(MODELS, _IMAGES)), requests)
            await soak.run()
            return soak


def _failures(soak: Soak, rows: list[verdict.Row]) -> list[str]:
    tally = soak.tally
    found = [f"lost: {text}" for text in tally.lost] + [f"wrong: {text}" for text in tally.wrong]
    if tally.answered + len(tally.lost) != soak.requests:
        found.append(f"{tally.answered} answers and {len(tally.lost)} errors to {soak.requests} calls")
    return found + [
        f"{row.side}: {row.measure} grew from {row.before:.1f} to {row.after:.1f}" for row in rows if not row.flat
    ]


def _report(soak: Soak, rows: list[verdict.Row], failures: list[str]) -> dict[str, Any]:
    tally = soak.tally
    return {
        "requests": soak.requests,
        "answered": tally.answered,
        "remote": tally.remote,
        "degraded": tally.degraded,
        "plan_switches": tally.switches,
        "events": soak.events,
        "rows": [asdict(row) | {"flat": row.flat} for row in rows],
        "samples": [asdict(sample) for sample in soak.samples],
        "failures": failures,
    }


def _print(soak: Soak, rows: list[verdict.Row], seconds: float) -> None:
    tally = soak.tally
    events = ", ".join(f"{count} {name}" for name, count in soak.events.items())
    print(
        f"{tally.answered} of {soak.requests} calls by {CLIENTS} clients answered in {seconds:.0f} s, "
        f"{len(tally.wrong)} wrong; {tally.remote} with the companion, {tally.degraded} degraded.\n"
        f"{len(tally.plans)} plans, {tally.switches} switches of plan; {events}.\n"
        f"Device emulated {SLOWDOWN:g}x slower; {' and '.join(f'{rate:g}' for rate in RATES_MBIT)} Mbit/s in turn. "
        f"Load of the last minute: {os.getloadavg()[0]:.1f}.\n"
    )
    headings = ("Medians", "daemon", "after warm-up", "at the end", "change", "per 10,000", "allowed", "")
    print(table(headings, [_row(row) for row in rows]))
    windows = {side: f"{first:.0%} to {last:.0%}" for side, (first, last) in verdict.WINDOWS.items()}
    print(
        "\nEach straight after every cut of every network was run: the same sessions are cached. after warm-up: "
        f"from {windows['device']} of the requests; of the companion, which was restarted until 50%, from "
        f"{windows['cloud']}. at the end: the last tenth.\nper 10,000: slope of all of them after warm-up. rest: "
        "resident less the sessions, whose cache is bounded by [engine] cache_mb. threads: less the sessions' own."
    )


def _row(row: verdict.Row) -> tuple[str, ...]:
    allowed = "" if row.allowed is None else f"+{row.allowed:.1f}"
    said = "" if row.allowed is None else "flat" if row.flat else "GREW"
    change = f"{row.after - row.before:+.1f}"
    return (
        row.measure,
        row.side,
        f"{row.before:.1f}",
        f"{row.after:.1f}",
        change,
        f"{row.slope:+.2f}",
        allowed,
        said,
    )


if __name__ == "__main__":
    main()
