"""The program behind `vet`: reads one package within bounds of its own memory and time, judges it and runs it."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

from collab_sdk.errors import InvalidPackage
from collabd.catalog.batching import hindrance
from collabd.catalog.check import misfits
from collabd.catalog.effort import require_bounded
from collabd.catalog.package import MALFORMED, MODEL, Package, load
from collabd.catalog.plain import read_plain
from collabd.catalog.vet import REFUSED
from collabd.engine import Engine, EngineError
from collabd.partition import Network

# The file, its weights in float32 and as the runtime packs them, with copies on the way; besides, what `effort` allows.
_BYTES_A_BYTE = 8
_BYTES = 3 << 30
_CPU_S = 240
# On one core. It is one job of the companion's only lane, and others wait.
_LONGEST_RUN_S = 30.0
# About a second of one core. Two images run together in any case: whoever built the package tried more.
_MACS_TOGETHER = 50e9
_REBUILD = "build the package again"


def inspect(package: Package) -> None:
    """Raise `InvalidPackage` unless the graph of `package` is plain, bounded, fits its manifest and runs."""
    try:
        network = require_bounded(read_plain((package.path / MODEL).read_bytes()))
        if faults := misfits(package.manifest, network):
            raise InvalidPackage("; ".join(faults))
        _run_once(package, network)
        if package.manifest.dynamic_batch and (reason := _hindrance(package, network)):
            raise InvalidPackage(f"it says that images may run together, but the graph {reason}; {_REBUILD}")
    except EngineError as error:
        raise InvalidPackage(f"it does not run on the companion: {error}") from error
    except MALFORMED as error:
        raise InvalidPackage(f"it contradicts itself: {error}") from error


def _run_once(package: Package, network: Network) -> None:
    engine = Engine(threads=1, cache_bytes=0)
    engine.add(package.digest, network)
    source, output = network.inputs[0], network.outputs[0]
    feeds = {source.name: np.zeros([size or 1 for size in source.shape], source.dtype)}
    engine.prepare(package.digest, tuple(feeds), (output.name,))
    start = time.process_time()
    scores = engine.run(package.digest, feeds, (output.name,))[output.name]
    if (taken_s := time.process_time() - start) > _LONGEST_RUN_S:
        raise InvalidPackage(
            f"one image takes {taken_s:.1f} s of one core of the companion, more than {_LONGEST_RUN_S:.0f} s"
        )
    if scores.shape != tuple(size or 1 for size in output.shape):
        raise InvalidPackage(f"its answer has the shape {list(scores.shape)}, not the shape that it states")


def _hindrance(package: Package, network: Network) -> str | None:
    return hindrance(network, package.manifest.crossing, threads=1, most_macs=_MACS_TOGETHER)


def _bound(directory: Path) -> None:
    """Now that the libraries are loaded: what they took is not counted against the graph."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + _BYTES + _BYTES_A_BYTE * (directory / MODEL).stat().st_size
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str) -> int:
    """The exit status: 0 if the package passes, `REFUSED` with the reason printed if not."""
    try:
        package = load(Path(path))
        _bound(package.path)
        inspect(package)
    except InvalidPackage as error:
        sys.stdout.write(str(error))
        return REFUSED
    except MemoryError:
        sys.stdout.write("reading and running it once takes more memory than one package may take")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
