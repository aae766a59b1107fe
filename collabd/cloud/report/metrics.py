"""The companion's health for Prometheus, read anew whenever somebody reads the metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collabd.health.metrics import health_metric
from collabd.health.tracker import HealthTracker


class HealthMetrics(Collector):
    """Of this tracker."""

    def __init__(self, health: HealthTracker) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """The gauge."""
        yield health_metric("collab_cloud_health", self._health.report())
