"""`make bench`: what collabd takes on this machine in time and memory, beside what else would do. Asserts nothing."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from collabd.profiling.machine import describe
from tests.bench import callers, decision, features, quiet, startup
from tests.bench.daemons import Daemons
from tests.bench.shipped import MODELS, PHOTOGRAPHIC, shipped


def main() -> None:
    """Measure and print."""
    machine = describe()
    print(f"{machine.cpu}, {machine.cores} cores, ONNX Runtime {machine.onnxruntime}, collabd {machine.collabd}")
    print(f"Load of the last minute before: {os.getloadavg()[0]:.1f}; what else runs here makes every time longer.\n")
    networks = shipped()
    with tempfile.TemporaryDirectory(prefix="collabd-bench-") as scratch:
        daemons = Daemons(MODELS, Path(scratch))
        with ExitStack() as stack:
            stack.push(daemons)  # not entered, which would start both: the start is what is measured
            startup.measure(daemons, networks)
            quiet.measure(daemons)
            for network in networks:
                if network.name == PHOTOGRAPHIC:
                    callers.measure(daemons, network)
        decision.measure(daemons.directory / "device/profiles", networks)
    for network in networks:
        if network.name == PHOTOGRAPHIC:
            startup.measure_alone(network)
            features.measure(network)


if __name__ == "__main__":
    main()
