"""Which senses look after the health of the device daemon."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from collab_sdk.errors import Overloaded
from collabd.config import DeviceConfig
from collabd.device.core.generation import Generation, Machinery
from collabd.device.health.board import board_seen
from collabd.device.health.calls import DeadlineSense
from collabd.device.health.companions import companions_seen
from collabd.device.health.models import DriftSense, profiles_seen
from collabd.device.models.model import DeviceModel
from collabd.health.certificates import CertificateSense
from collabd.health.conditions import Sighting
from collabd.health.crowding import EvictionSense, RefusalSense
from collabd.health.machine import clock_of, disk_of, memory_of
from collabd.health.watch import HealthPace, HealthWatch, Sense
from collabd.providers.choice import Providers
from collabd.providers.sense import Served, providers_seen


def device_health(
    machinery: Machinery,
    generation: Callable[[], Generation],
    *,
    doors: Sense,
    providers: Providers,
    root: Path,
    state: Path,
    pace: HealthPace,
) -> HealthWatch:
    """Looks at what `generation` says is in force. `doors`: sees those that are not open. `root`: of /run and /proc.

    `state`: the state directory.
    """
    counters, engine, clock = machinery.counters, machinery.engine, pace.clock

    def companions() -> Iterator[Sighting]:
        now = generation()
        return companions_seen(now.companions, now.loaded.config.link, machinery.models.packages())

    def profiles() -> Iterator[Sighting]:
        planner = generation().planner
        return profiles_seen(machinery.models, speed=planner.device_state().speed, expected=planner.slowdown())

    def refused() -> Iterator[Sighting]:
        served = (Served(each.manifest.name, each.digest, each.key) for each in machinery.models)
        return providers_seen(providers, engine, served)

    def caps(model: DeviceModel) -> Collection[float]:
        return generation().planner.least_fidelities(model)

    return HealthWatch(
        machinery.health,
        senses=(
            companions,
            lambda: board_seen(generation().senses.snapshot),
            profiles,
            DriftSense(lambda: machinery.models, machinery.ledger, caps),
            DeadlineSense(lambda: counters.deadlines, clock),
            RefusalSense(lambda: (counters.report["total"], counters.refusals(Overloaded.code)), clock),
            EvictionSense(lambda: engine.stats.evictions, clock),
            refused,
            doors,
        ),
        files=(
            partial(disk_of, state),
            partial(clock_of, root),
            partial(memory_of, root),
            CertificateSense(lambda: _certificates(generation().loaded.config)),
        ),
        pace=pace,
    )


def _certificates(config: DeviceConfig) -> Sequence[str]:
    clouds = [path for cloud in config.clouds for path in (cloud.ca_file, cloud.client_cert)]
    return [*clouds, *(door.tls_cert for door in config.doors)]
