"""What a call through the socket adds to the work itself, and what the same costs on a companion over loopback."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from collab_sdk import Client
from collabd.engine import Engine
from collabd.imaging import prepare
from tests.bench.daemons import Daemons
from tests.bench.shipped import Shipped
from tests.bench.stopwatch import taken
from tests.bench.table import table

_ROUNDS = 100


def measure(daemons: Daemons, networks: Sequence[Shipped]) -> dict[str, float]:
    """Print the comparison; returns the median seconds of a local call by network."""
    with Client(daemons.socket) as client:
        found = {network.name: _medians(client, network) for network in networks}
    headings = ("One call (medians)", "prepare", "engine", "local call", "overhead", "ratio", "remote call", "to local")
    print(table(headings, [_row(name, *seconds) for name, seconds in found.items()]))
    print(
        "prepare: JPEG to input tensor. engine: the bare run. Both in this process; overhead and ratio compare the "
        "local call with their sum.\nremote call: the file as it came, all layers on the companion, loopback, the same "
        f"cores. {_ROUNDS} rounds, all taking turns.\n"
    )
    return {name: local for name, (_, _, local, _) in found.items()}


def _medians(client: Client, network: Shipped) -> tuple[float, ...]:
    manifest, image = network.package.manifest, network.images[0]
    engine = Engine(threads=os.cpu_count() or 1, cache_bytes=2**28)
    engine.add("", network.package.network())
    feeds = {manifest.input: prepare(image, manifest.preprocessing)}
    works = (
        lambda: prepare(image, manifest.preprocessing),
        lambda: engine.run("", feeds, [manifest.output]),
        lambda: client.infer(image, model=network.name, fallback="never-leave"),
        lambda: client.infer(image, model=network.name, cut="image", codec="source", fallback="fail"),
    )
    for work in works:
        work()
    rounds = [[taken(work) for work in works] for _ in range(_ROUNDS)]
    return tuple(statistics.median(times) for times in zip(*rounds, strict=True))


def _row(name: str, prepare_s: float, engine_s: float, local_s: float, remote_s: float) -> tuple[str, ...]:
    bare_s = prepare_s + engine_s
    times = (f"{seconds * 1e3:.2f} ms" for seconds in (prepare_s, engine_s, local_s, local_s - bare_s))
    return name, *times, f"{local_s / bare_s:.2f}x", f"{remote_s * 1e3:.2f} ms", f"{remote_s / local_s:.2f}x"
