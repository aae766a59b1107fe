"""The metrics of both daemons, as they tell them after a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from collab_sdk import wire
from collab_sdk.errors import Overloaded
from collab_sdk.mock import mock_result
from collab_sdk.reports import DoorReport, StatusReport
from collab_sdk.vocabulary import Cap, DoorKind, Severity
from collabd.cloud.counters import CloudCounters
from collabd.cloud.report.metrics import HealthMetrics
from collabd.device.counters import Counters
from collabd.device.doors.metrics import DoorMetrics
from collabd.device.report.metrics import StatusMetrics
from collabd.health.conditions import Code, Sighting
from collabd.health.tracker import HealthTracker
from handbook.markdown import table

# Labels of histograms and summaries, which say nothing of what is measured.
_OF_FORM = {"le", "quantile"}


class _Measured(dict[str, Any]):
    """A report in which every figure was measured."""

    def __missing__(self, _: str) -> float:
        return 1.0


@cache
def device_metrics() -> Sequence[Metric]:
    """Those of collabd."""
    counters = Counters()
    counters.answered(mock_result({"cat": 0.9}, unmet=(Cap.LATENCY,)))
    counters.refused(Overloaded.code)
    health = [_Measured(code=Code.COMPANION_LOST, about="pc", severity=Severity.WARNING, behind=None)]
    status = _Measured(models=[], clouds=[_Measured(name="pc")], device=_Measured(), audits=_Measured(), health=health)
    counters.beside(StatusMetrics(lambda: cast("StatusReport", status)))
    door = cast("DoorReport", _Measured(kind=DoorKind.OIP, address="127.0.0.1:8000"))
    counters.beside(DoorMetrics(lambda: [door]))
    return _told(counters.metrics())


@cache
def companion_metrics() -> Sequence[Metric]:
    """Those of collab-cloudd."""
    counters = CloudCounters()
    health = HealthTracker()
    health.look([Sighting(code=Code.CERTIFICATE_EXPIRED, what="it expired")])
    counters.beside(HealthMetrics(health))
    with counters.counted("model", wire.InferRequest(inputs=[])):
        counters.answered("model", queue_s=0.0, decode_s=0.0, compute_s=0.0)
    return _told(counters.metrics())


def _told(text: bytes) -> Sequence[Metric]:
    """All metrics of a text, but for the times when they were made."""
    return [each for each in text_string_to_metric_families(text.decode()) if not each.name.endswith("_created")]


def page() -> str:
    """A table for each daemon."""
    return f"## collabd\n\n{_rows(device_metrics())}\n## collab-cloudd\n\n{_rows(companion_metrics())}"


def name_of(metric: Metric) -> str:
    """As queries name it: counters end in _total."""
    return metric.name + ("_total" if metric.type == "counter" else "")


def _rows(metrics: Iterable[Metric]) -> str:
    rows = []
    for metric in metrics:
        labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label not in _OF_FORM)
        named = ", ".join(f"`{label}`" for label in labels)
        rows.append((f"`{name_of(metric)}`", metric.type, named, metric.documentation))
    return table(("metric", "type", "labels", "what it says"), rows)
