"""A package is judged by its graph, and then by running it once."""

from __future__ import annotations

import time

import numpy as np

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.batching import hindrance
from collabd.catalog.graph.effort import require_bounded
from collabd.catalog.package.faults import misfits
from collabd.catalog.package.package import MALFORMED, MODEL, Package
from collabd.catalog.trial.plain_graph import read_plain
from collabd.engine import Engine, EngineError
from collabd.partition import Network

# The longest run, in seconds of one core. All other requests wait for it on the companion's only lane.
_LONGEST_RUN_S = 30.0
# Runs of three and more images may take no more, about a second of one core. Who built the package tried them all.
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
