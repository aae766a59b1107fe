"""Gives what a replica counts to Ray, whose exporter on each machine tells the replicas apart.

Serve leads a request for ``/metrics`` to some replica, to another one each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client import Metric
from ray.serve.metrics import Gauge

from collabd.cloud.counters import CloudCounters

_EVERY_S = 5.0


async def give_to_ray(counters: CloudCounters) -> None:
    """Every 5 seconds, until cancelled."""
    gauges: dict[str, Gauge] = {}
    while True:
        _give(counters.collect(), gauges)
        await asyncio.sleep(_EVERY_S)


def _give(metrics: Iterable[Metric], gauges: dict[str, Gauge]) -> None:
    """Counters and histograms too: Prometheus computes with them by their names. What is of the process, Ray tells."""
    for metric in metrics:
        for name, labels, value, *_ in metric.samples:
            if not name.startswith("collab_cloud_") or name.endswith("_created"):
                continue
            if name not in gauges:
                # It adds the name of the replica to the labels.
                gauges[name] = Gauge(name, metric.documentation, tag_keys=tuple(labels))
            gauges[name].set(value, tags=labels)
