"""collabd on a device slower than this machine: its lane waits in proportion after each piece of a call's work.

For tests of what happens, never for figures about speed: the Python around the lane stays as fast as it is. This is a
script too, `python tests/slowed.py FACTOR --config FILE`, which the daemon's own environment can run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from collabd import lifecycle
from collabd.__main__ import DEFAULT_CONFIG
from collabd.config import DeviceConfig, Loaded, Source
from collabd.device.lane.lane import ComputeThread, Piece, Timed
from collabd.device.server import running
from collabd.engine import Stop, Stopped
from collabd.sensing.estimates.speed import SpeedFactor

T = TypeVar("T")


class SlowedThread(ComputeThread):
    """A piece of work takes `factor` times as long. It can be stopped while it waits."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    async def run(self, piece: Piece, stop: Stop) -> list[Timed[Any]]:
        parts = [replace(part, work=partial(self._slowly, part.work)) for part in piece.parts]
        return await super().run(replace(piece, parts=parts), stop)

    def _slowly(self, work: Callable[[Stop], T], stop: Stop) -> T:
        # Processor time: what held this machine up is not multiplied.
        began = time.thread_time()
        value = work(stop)
        if stop.wait((time.thread_time() - began) * (self._factor - 1)):
            raise Stopped("a slower device would not have finished")
        return value


def slowed(factor: float) -> dict[str, Any]:
    """For `running`: the slowed thread, and the knowledge that it is so. Its profile is measured unslowed."""
    return {"thread_of": partial(SlowedThread, factor), "speed_of": partial(SpeedFactor, factor)}


# The tiny network takes some 50 ms then: longer than an exchange with a companion here, on a busy machine too.
SLOWER_THAN_AN_EXCHANGE = slowed(2000)


def slowed_collabd(factor: float) -> Sequence[str]:
    """For a test bed: the command that starts this daemon."""
    return (sys.executable, __file__, str(factor))


@click.command()
@click.argument("factor", type=float)
@click.option("--config", "path", type=click.Path(path_type=Path))
def main(factor: float, path: Path | None) -> None:
    source = Source(DeviceConfig, path, DEFAULT_CONFIG)
    loaded = lifecycle.start("collabd", source, verbose=False, check=False)
    lifecycle.run("collabd", lambda: _serve(loaded, source.load, factor))


async def _serve(loaded: Loaded[DeviceConfig], read: Callable[[], Loaded[DeviceConfig]], factor: float) -> None:
    async with running(loaded, **slowed(factor)) as daemon:
        await lifecycle.serve_until_stopped([daemon.worker], daemon.status, read=read, apply=daemon.reconfigure)


if __name__ == "__main__":
    main()
