"""One run: start both daemons, learn what the device can do alone, then load and faults at the same time."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import psutil

from collab_sdk import AsyncClient
from collabd.catalog.package.package import Package, load, write
from tests.bench.shipped import MODELS
from tests.chaos.bed import COMPANION_CORE, DEVICE_CORE, SIDES, ChaosBed, small_disks
from tests.chaos.clients import Outcome, work
from tests.chaos.faults import RATE, Faults, Window
from tests.chaos.mitm import Liar
from tests.chaos.orders import Drawer, Order
from tests.chaos.schedule import KINDS, schedule
from tests.graphs import graphs_of

CLIENTS = 8
_IMAGES = 12
# Calls that do not count, because they build sessions and open connections.
_WARM_UP = 5 * CLIENTS
# Calls that a client makes before it reports.
_AT_A_TIME = 50
_RTT_S = 0.005
_HEALED_S = 90.0
# A deadline that the device alone could keep: fixed before any fault, by what it did alone in the same run. The 99th
# percentile and half as much again, since a quantile nearer to 1 of a few hundred calls is chance; and a lax one.
_DEADLINES: Mapping[str, Callable[[np.ndarray], float]] = {
    "1.5 x p99": lambda ms: 1.5 * _p99(ms),
    "never-leave, 1.5 x p99": lambda ms: 1.5 * _p99(ms),
    "4 x p99": lambda ms: 4 * _p99(ms),
    "half the median": lambda ms: 0.5 * float(np.median(ms)),
}


def _p99(ms: np.ndarray) -> float:
    return float(np.quantile(ms, 0.99))


@dataclass(frozen=True)
class Settings:
    """`requests`: those that must be answered. `failing`: those beside them that forbid to be finished here."""

    seed: int = 1
    requests: int = 10_000
    failing: int = 300
    # To learn what the device does alone.
    alone: int = 800
    pause_s: float = 0.45
    pace: float = 1.0
    models: tuple[str, ...] = ("alexnet_cifar10", "vgg16_cifar10", "efficientnet_lite0")


@dataclass
class Happened:
    """Everything that a run leaves to be judged."""

    settings: Settings
    packages: dict[str, Package]
    images: dict[str, bytes]
    without: dict[str, str] = field(default_factory=dict)
    alone: list[Outcome] = field(default_factory=list)
    deadlines_ms: dict[tuple[str, str], float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    down: list[Window] = field(default_factory=list)
    # Open files and threads, by side, before the faults and after them.
    handles: dict[str, tuple[int, int]] = field(default_factory=dict)
    unhealthy: list[str] = field(default_factory=list)


async def run(settings: Settings, directory: Path, say: Callable[[str], None]) -> Happened:
    """Run it all in the scratch `directory`."""
    packages = {name: load(MODELS / name / "package") for name in settings.models}
    names = _image_names(settings.models)
    images = {str(path.relative_to(MODELS)): path.read_bytes() for paths in names.values() for path in paths}
    happened = Happened(settings, packages, images)
    drawer = Drawer(
        packages,
        {name: [str(path.relative_to(MODELS)) for path in paths] for name, paths in names.items()},
        settings.pause_s,
        Random(settings.seed),
    )
    psutil.Process().cpu_affinity([COMPANION_CORE])
    with ProcessPoolExecutor(CLIENTS, multiprocessing.get_context("spawn"), _settle) as pool:
        async with _daemons(settings, packages, directory) as faults:
            say("both daemons start and profile the networks ...")
            await faults.bed.until_ready(faults.client)
            for package in reversed(faults.twins):
                await faults.client.load_model(package)
                await faults.bed.until_ready(faults.client)
            happened.without = faults.bed.without()
            load_of = _Load(pool, faults.bed.socket, images)
            await _calm(happened, drawer, load_of, say)
            await _storm(happened, drawer, load_of, faults, say)
    return happened


@dataclass(frozen=True)
class _Load:
    pool: Executor
    socket: Path
    images: Mapping[str, bytes]

    async def __call__(self, orders: Sequence[Order], into: list[Outcome] | None = None) -> list[Outcome]:
        """Put the outcomes into the list as they come."""
        outcomes: list[Outcome] = [] if into is None else into
        async with asyncio.TaskGroup() as clients:
            for client in range(CLIENTS):
                clients.create_task(self._client(orders[client::CLIENTS], outcomes))
        return outcomes

    async def _client(self, orders: Sequence[Order], outcomes: list[Outcome]) -> None:
        loop = asyncio.get_running_loop()
        for first in range(0, len(orders), _AT_A_TIME):
            some = orders[first : first + _AT_A_TIME]
            outcomes += await loop.run_in_executor(self.pool, work, self.socket, self.images, some)


async def _calm(happened: Happened, drawer: Drawer, load_of: _Load, say: Callable[[str], None]) -> None:
    say(f"{happened.settings.alone} calls on the device alone, to know what it can do ...")
    await load_of(drawer.local(_WARM_UP))
    happened.alone = await load_of(drawer.local(happened.settings.alone))
    for name in happened.packages:
        ms = np.array([one.latency_ms for one in happened.alone if one.order.model == name])
        happened.deadlines_ms |= {(name, kind): round(rule(ms), 1) for kind, rule in _DEADLINES.items()}


async def _storm(
    happened: Happened, drawer: Drawer, load_of: _Load, faults: Faults, say: Callable[[str], None]
) -> None:
    settings = happened.settings
    await load_of(drawer.mixed(_WARM_UP, happened.deadlines_ms))
    before = _handles(faults.bed)
    orders = drawer.mixed(settings.requests, happened.deadlines_ms) + drawer.failing(settings.failing)
    drawer.luck.shuffle(orders)
    kinds = [kind for kind in KINDS if kind not in happened.without]
    say(f"{len(orders)} calls under faults:")
    done = asyncio.Event()
    conductor = asyncio.create_task(
        faults.conduct(schedule(settings.seed, kinds, settings.pace), len(kinds), done, say)
    )
    try:
        await load_of(orders, happened.outcomes)
    finally:
        done.set()
        await conductor
    happened.windows, happened.down = faults.windows, faults.down
    try:
        await faults.bed.until_cloud_is_up(faults.client, _HEALED_S)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what the run has found
        happened.unhealthy.append(f"after the faults: {error}")
    await load_of(drawer.mixed(_WARM_UP, happened.deadlines_ms))
    after = _handles(faults.bed)
    happened.handles = {side: (before[side], after[side]) for side in SIDES}


@asynccontextmanager
async def _daemons(settings: Settings, packages: Mapping[str, Package], directory: Path) -> AsyncIterator[Faults]:
    roots = directory / "packages"
    for name, package in packages.items():
        shutil.copytree(package.path, roots / name)
    first = next(iter(packages.values()))
    visitor = _variant(first, directory / "visitor", name="visitor")
    twin = _variant(first, directory / "twin", provenance="the same network once more")
    bed = ChaosBed(roots, directory)
    digests = {name: package.digest for name, package in packages.items()}
    with small_disks(bed):
        async with bed.relay() as relay, Liar(("127.0.0.1", bed.cloud_port)) as liar:
            relay.set_rate(RATE)
            relay.set_rtt(_RTT_S)
            with bed:
                async with AsyncClient(bed.socket) as client:
                    yield Faults(bed, relay, liar, client, digests, visitor, (first.path, twin))


def _variant(package: Package, path: Path, **changes: str) -> Path:
    """The same network, with something else in its manifest."""
    manifest = msgspec.structs.replace(package.manifest, **changes)
    model, int8 = graphs_of(package)
    return write(path, manifest, model=model, int8=int8, licence="Apache-2.0").path


def _image_names(models: Sequence[str]) -> dict[str, list[Path]]:
    cifar = sorted((MODELS / "samples/cifar10").glob("*/*.jpg"))
    photos = sorted((MODELS / "samples/photos").glob("*.jpg"))
    spread = [cifar[turn * len(cifar) // _IMAGES] for turn in range(_IMAGES)]
    return {name: photos if name == "efficientnet_lite0" else spread for name in models}


def _handles(bed: ChaosBed) -> dict[str, int]:
    return {side: psutil.Process(bed.pid(side)).num_fds() for side in SIDES}


def _settle() -> None:
    """In each client's process."""
    psutil.Process().cpu_affinity([DEVICE_CORE])
