"""What the daemon has done since it started: counts for its status and for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from collab_sdk import wire
from collab_sdk.errors import CollabError, DaemonFault

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# Devices choose the names of packages that they push. After so many names, all others are counted as one.
_NAMES = 100
_OTHERS = "(others)"
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class CloudCounters:
    """One daemon's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.answers = 0
        # The time of the latest run; None: there was none yet.
        self.last_ms: float | None = None
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.packages = Gauge("collab_cloud_packages", "Loaded model packages", registry=registry)
        self._requests = Counter(
            "collab_cloud_requests", "Requests by model and outcome", ["model", "outcome"], registry=registry
        )
        self.turned_away = Counter(
            "collab_cloud_turned_away", "Requests refused before their body was read", registry=registry
        )
        self._names: set[str] = set()
        self._received = Counter("collab_cloud_received_bytes", "Bytes of input tensors", registry=registry)
        self._queue = Histogram(
            "collab_cloud_queue_seconds",
            "Time that each request waited for the engine",
            buckets=_SECONDS,
            registry=registry,
        )
        self._compute = Histogram(
            "collab_cloud_compute_seconds",
            "Time of the run that each request was part of",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram("collab_cloud_batch_size", "Images in each run", buckets=_ROWS, registry=registry)

    @contextmanager
    def counted(self, model: str, request: wire.InferRequest) -> Iterator[None]:
        """Count a request of a loaded model, its bytes, and how it ends."""
        self._received.inc(sum(len(tensor.data) for tensor in request.inputs))
        outcome = DaemonFault.code
        try:
            yield
            outcome = "ok"
        except CollabError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._requests.labels(self._named(model), outcome).inc()

    def _named(self, model: str) -> str:
        if len(self._names) < _NAMES:
            self._names.add(model)
        return model if model in self._names else _OTHERS

    def answered(self, *, queue_s: float, compute_s: float) -> None:
        """Count a request that was answered, the time that it waited, and the time of its run."""
        self.answers += 1
        self.last_ms = compute_s * 1e3
        self._queue.observe(queue_s)
        self._compute.observe(compute_s)

    def ran(self, rows: int) -> None:
        """Count a run of the engine."""
        self._batch.observe(rows)

    def metrics(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self._registry)
