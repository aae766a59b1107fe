"""Many calls through a device, a balancer and three companions; prints a line for each act.

python -m tests.balanced --calls 10000
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from collabd.catalog.package.package import load
from tests.balanced.bed import BalancedBed, haproxy
from tests.balanced.calls import Tally, play
from tests.pages import CHECKOUT


@click.command()
@click.option("--calls", default=10_000, show_default=True, help="How many calls at least.")
@click.option(
    "--model", default="alexnet_cifar10", show_default=True, help="One of the packages that ship with collabd."
)
@click.option("--seed", default=1, show_default=True, help="For the images.")
def main(calls: int, model: str, seed: int) -> None:
    """Kill, drain and slow companions behind HAProxy while a device calls them."""
    if haproxy() is None:
        raise click.ClickException("HAProxy is not installed: apt install haproxy")
    package = load(CHECKOUT / "models" / model / "package")
    began = time.monotonic()
    images = list(np.random.default_rng(seed).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "packages").mkdir()
        (folder / "packages" / model).symlink_to(package.path)

        async def run() -> list[Tally]:
            # As docs/companions.md tells people to set it.
            async with BalancedBed(folder / "packages", folder, drain_s=5, check_s=1) as bed:
                return await play(bed, package, images, calls)

        for tally in asyncio.run(run()):
            click.echo(tally)
            for why in sorted(set(tally.failed + tally.lost)):
                click.echo(f"           {(tally.failed + tally.lost).count(why):6} of them: {why}")
    click.echo(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
