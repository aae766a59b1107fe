"""Which senses look after the health of the companion daemon."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from collabd.cloud.counters import CloudCounters
from collabd.config import CloudServerSettings
from collabd.engine import Engine
from collabd.health.certificates import CertificateSense
from collabd.health.crowding import EvictionSense, RefusalSense
from collabd.health.machine import clock_of, disk_of, memory_of
from collabd.health.tracker import HealthTracker
from collabd.health.watch import HealthPace, HealthWatch, Sense


def cloud_health(
    tracker: HealthTracker,
    counters: CloudCounters,
    engine: Engine,
    *,
    providers: Sense,
    server: Callable[[], CloudServerSettings],
    root: Path,
    state: Path,
    pace: HealthPace,
) -> HealthWatch:
    """`providers`: sees those that are wanted and not used. `server`: the settings in force. `root`: of /run and /proc.

    `state`: the state directory.
    """
    return HealthWatch(
        tracker,
        senses=(
            RefusalSense(lambda: (counters.arrived, counters.refused), pace.clock),
            EvictionSense(lambda: engine.stats.evictions, pace.clock),
            providers,
        ),
        files=(
            partial(disk_of, state),
            partial(clock_of, root),
            partial(memory_of, root),
            CertificateSense(lambda: (server().tls_cert, server().client_ca)),
        ),
        pace=pace,
    )
