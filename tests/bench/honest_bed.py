"""Both daemons with the device on an honest one: collabd in a CPU cgroup, the companion and the link outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collabd.catalog.package.package import load
from collabd.simulation.slow_cpu import SlowCpu
from collabd.simulation.testbed import COLLABD, Testbed

# One thread on either side: in the cgroup two would share the time of one. The sessions of all plans stay, since no
# application goes from plan to plan as a bench does.
_ENGINE = "[engine]\nthreads = 1\ncache_mb = 2048\n"
SIDES = ("device", "cloud")


class HonestBed(Testbed):
    """A test bed with these package directories, whose collabd runs in `slow`.

    Measured profiles are kept in the folder `profiles` for the next run.
    """

    def __init__(self, packages: Sequence[Path], directory: Path, *, slow: SlowCpu, profiles: Path) -> None:
        chosen = directory / "chosen"
        chosen.mkdir()
        for package in packages:
            (chosen / load(package).manifest.name).symlink_to(package.resolve())
        for side in SIDES:
            kept = (profiles / side).resolve()
            kept.mkdir(parents=True, exist_ok=True)
            (directory / side).mkdir()
            (directory / side / "profiles").symlink_to(kept)
        super().__init__(chosen, directory, device=slow.command(COLLABD), settings=_ENGINE, cloud_settings=_ENGINE)
