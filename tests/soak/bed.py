"""Both daemons, with what a long run does to them: restarts, reloads, and packages that come and go."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import psutil

from collabd.catalog.package import package
from collabd.simulation.testbed import Testbed
from tests.graphs import graphs_of
from tests.slowed import slowed_collabd

VISITOR = "visitor"
SLOWDOWN = 2.0
# A changed estimate of the link makes the daemon build a new companion object, with its own connections.
_STALE_S = (2.0, 2.5)


class SoakBed(Testbed):
    """A test bed whose processes can be looked at."""

    def __init__(self, models: Path, directory: Path) -> None:
        super().__init__(models, directory, device=slowed_collabd(SLOWDOWN), settings=_link(_STALE_S[0]))
        self.visitor = _visitor(models / "alexnet_cifar10/package", directory / VISITOR)
        self._reloads = 0

    def process(self, side: str) -> psutil.Process:
        """That of "device" or "cloud". Raises `psutil.NoSuchProcess` where it has died."""
        return psutil.Process(self._processes[side].pid)

    def restart_cloud(self) -> None:
        """Kill the companion and start another one on the same port."""
        self.kill_cloud()
        self.start_cloud()

    def reload_device(self) -> None:
        """SIGHUP, with a configuration that differs from the one before."""
        before, after = (_link(_STALE_S[(self._reloads + step) % 2]) for step in (0, 1))
        self._reloads += 1
        file = self.directory / "collabd.toml"
        file.write_text(file.read_text().replace(before, after))
        self.signal("device", signal.SIGHUP)


def _link(stale_s: float) -> str:
    return f"[link]\nstale_s = {stale_s}\n"


def _visitor(source: Path, target: Path) -> Path:
    """The package at `source` under a name and so a digest of its own."""
    found = package.load(source)
    manifest, licence = msgspec.structs.replace(found.manifest, name=VISITOR), (source / package.LICENCE).read_text()
    model, int8 = graphs_of(found)
    return package.write(target, manifest, model=model, int8=int8, licence=licence).path
