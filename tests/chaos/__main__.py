"""`make chaos`: 10,000 calls under continuous faults; exits 1 where one is lost or wrong, or deadlines are not kept."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.chaos.judge import judge, too_late
from tests.chaos.run import Settings, run
from tests.chaos.table import show


@click.command()
@click.option("--requests", type=click.IntRange(min=100), default=10_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the daemons' logs here.")
def main(requests: int, seed: int, file: Path | None, keep: Path | None) -> None:
    """Break things while eight clients call, and check every answer."""
    settings = Settings(seed=seed, requests=requests, failing=requests * 3 // 100)
    with tempfile.TemporaryDirectory(prefix="collabd-chaos-") as scratch:
        directory = Path(scratch)
        try:
            happened = asyncio.run(run(settings, directory, lambda text: print(text, flush=True)))
        finally:
            _keep_logs(directory, keep)
    report = judge(happened)
    show(report, Console(width=200))
    if file is not None:
        file.write_text(json.dumps(report, indent=1))
    failures = report["failures"] + too_late(report)
    for failure in failures:
        click.echo(f"FAILED: {failure}", err=True)
    sys.exit(bool(failures))


def _keep_logs(directory: Path, keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for log in directory.glob("*.log"):
            (keep / log.name).write_bytes(log.read_bytes())


if __name__ == "__main__":
    main()
