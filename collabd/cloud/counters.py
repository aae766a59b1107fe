"""What the daemon has done since it started: counts for its status and for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from collab_sdk import wire
from collab_sdk.errors import CollabError, DaemonFault
from collabd.bounded_names import BoundedNames
from collabd.http.statistics import ModelStatistics

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class CloudCounters:
    """One daemon's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.answers = 0
        # Requests whose headers came, and those of them that were refused then.
        self.arrived = self.refused = 0
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
        # Devices choose the names of packages that they push.
        self._named = BoundedNames()
        self._statistics: defaultdict[str, ModelStatistics] = defaultdict(ModelStatistics)
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
        self._runs = Counter("collab_cloud_runs", "Runs of the engine by their cores", ["cores"], registry=registry)
        self.lanes = Gauge("collab_cloud_lanes", "Runs that are computed side by side under load", registry=registry)
        self.busy_lanes = Gauge("collab_cloud_lanes_busy", "Runs that are computed now", registry=registry)

    def beside(self, collector: Collector) -> None:
        """Tell what this collector tells among the metrics, too."""
        self._registry.register(collector)

    @contextmanager
    def counted(self, model: str, request: wire.InferRequest) -> Iterator[None]:
        """Count a request of a loaded model, its bytes, and how it ends."""
        self._received.inc(sum(len(tensor.data) for tensor in request.inputs))
        outcome, began = DaemonFault.code, time.perf_counter()
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
            name = self._named(model)
            self._requests.labels(name, outcome).inc()
            if outcome not in {"ok", "cancelled"}:
                self._statistics[name].failed(time.perf_counter() - began)

    def statistics(self, model: str) -> ModelStatistics:
        """The statistics of a model, by its name."""
        return self._statistics[self._named(model)]

    def answered(self, model: str, *, queue_s: float, decode_s: float, compute_s: float) -> None:
        """Count a request that was answered, the time that it waited, and the times of decoding it and of its run."""
        self.statistics(model).answered(
            queue_s + decode_s + compute_s, input_s=decode_s, infer_s=compute_s, output_s=0.0
        )
        self.answers += 1
        self.last_ms = compute_s * 1e3
        self._queue.observe(queue_s)
        self._compute.observe(compute_s)

    def ran(self, rows: int, cores: int) -> None:
        """Count a run of the engine, on so many cores."""
        self._batch.observe(rows)
        self._runs.labels(cores).inc()

    def collect(self) -> Iterable[Metric]:
        """What `metrics` tells, for other exporters."""
        return self._registry.collect()

    def metrics(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self._registry)
