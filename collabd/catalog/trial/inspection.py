"""A package is judged by its graph, and then by running it once."""

from __future__ import annotations

import time

import numpy as np

from collab_sdk.errors import InvalidPackage
from collabd.catalog.graph.batching import hindrance
from collabd.catalog.graph.effort import require_bounded
from collabd.catalog.package.faults import misfits, twin_misfits
from collabd.catalog.package.package import GRAPHS, MALFORMED, Package
from collabd.catalog.trial.plain_graph import read_plain
from collabd.engine import Engine, EngineError
from collabd.partition import Network, TensorInfo

# The longest run, in seconds of one core. All other requests wait for it on the companion's only lane.
_LONGEST_RUN_S = 30.0
# Runs of three and more images may take no more, about a second of one core. Who built the package tried them all.
_MACS_TOGETHER = 50e9
_REBUILD = "build the package again"


def inspect(package: Package) -> None:
    """Raise `InvalidPackage` unless the graphs of `package` are plain, bounded, fit its manifest and run."""
    fp32: Network | None = None
    for precision in package.manifest.precisions:
        name = GRAPHS[precision]
        try:
            network = _inspected(package, name, fp32)
        except InvalidPackage as error:
            raise InvalidPackage(f"{name}: {error}") from error
        fp32 = fp32 or network


def _inspected(package: Package, name: str, fp32: Network | None) -> Network:
    """The network of a graph that passes. `fp32`: the one that it must fit; None: it is that one."""
    manifest = package.manifest
    try:
        network = require_bounded(read_plain((package.path / name).read_bytes()))
        if faults := misfits(manifest, network) if fp32 is None else twin_misfits(manifest, fp32, network):
            raise InvalidPackage("; ".join(faults))
        _run_once(package, network)
        if manifest.dynamic_batch and (reason := _hindrance(package, network)):
            raise InvalidPackage(f"it says that images may run together, but the graph {reason}; {_REBUILD}")
    except EngineError as error:
        raise InvalidPackage(f"it does not run: {error}") from error
    except MALFORMED as error:
        raise InvalidPackage(f"it contradicts itself: {error}") from error
    return network


def _run_once(package: Package, network: Network) -> None:
    engine = Engine(threads=1, cache_bytes=0)
    engine.add(package.digest, network)
    feeds = {info.name: np.zeros(_at_batch_1(info), info.dtype) for info in network.inputs}
    outputs = tuple(info.name for info in network.outputs)
    engine.prepare(package.digest, tuple(feeds), outputs)
    start = time.process_time()
    found = engine.run(package.digest, feeds, outputs)
    if (taken_s := time.process_time() - start) > _LONGEST_RUN_S:
        raise InvalidPackage(f"one answer takes {taken_s:.1f} s of one core, more than {_LONGEST_RUN_S:.0f} s")
    for info in network.outputs:
        if found[info.name].shape != _at_batch_1(info):
            raise InvalidPackage(
                f"its output {info.name} has the shape {list(found[info.name].shape)}, and states {list(info.shape)}"
            )


def _at_batch_1(info: TensorInfo) -> tuple[int, ...]:
    return tuple(1 if size is None else size for size in info.shape)


def _hindrance(package: Package, network: Network) -> str | None:
    return hindrance(network, package.manifest.crossing, threads=1, most_macs=_MACS_TOGETHER)
