"""What has come through the doors, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collab_sdk.reports import DoorReport


class DoorMetrics(Collector):
    """Reads the doors anew whenever somebody reads the metrics. Their addresses are those of the configuration."""

    def __init__(self, doors: Callable[[], Sequence[DoorReport]]) -> None:
        self._doors = doors

    def collect(self) -> Iterator[Metric]:
        """The counters."""
        labels = ["kind", "address"]
        calls = CounterMetricFamily("collabd_door_calls", "Calls that came through a door", labels=labels)
        failed = CounterMetricFamily(
            "collabd_door_failed", "Calls through a door that were refused or ended in an error", labels=labels
        )
        for door in self._doors():
            values = [str(door["kind"]), door["address"]]
            calls.add_metric(values, door["calls"])
            failed.add_metric(values, door["failed"])
        yield calls
        yield failed
