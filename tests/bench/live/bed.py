"""Both daemons on a core each, so that what takes the device's core does not take the companion's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from collabd.simulation.testbed import Testbed

DEVICE_CORE, OTHER_CORE = 0, (os.cpu_count() or 1) - 1
SLOWDOWN = 8.0
RTT_S = 0.02


class PinnedBed(Testbed):
    """One thread and one core a daemon; the relay and the caller share the companion's core."""

    def __init__(self, models: Path, directory: Path, device: Sequence[str]) -> None:
        super().__init__(models, directory, device=device, settings="[engine]\nthreads = 1")
        configuration = directory / "collab-cloudd.toml"
        configuration.write_text(configuration.read_text() + "[engine]\nthreads = 1\n")

    def start_cloud(self) -> None:
        """Start it, and keep it on its core."""
        super().start_cloud()
        psutil.Process(self._processes["cloud"].pid).cpu_affinity([OTHER_CORE])

    def start_device(self) -> None:
        """Start it, and keep it on its core."""
        super().start_device()
        psutil.Process(self._processes["device"].pid).cpu_affinity([DEVICE_CORE])


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """Other processes that want all of the device's core."""
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=_burn, daemon=True) for _ in range(processes)]
    for burner in burners:
        burner.start()
        psutil.Process(burner.pid).cpu_affinity([DEVICE_CORE])
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def _burn() -> None:
    while True:
        pass
