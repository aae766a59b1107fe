"""The conditions for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import GaugeMetricFamily

from collab_sdk.reports import ConditionReport


def health_metric(name: str, health: Sequence[ConditionReport]) -> GaugeMetricFamily:
    """1 for each condition that stands for itself. One that another explains is left out."""
    gauge = GaugeMetricFamily(name, "Conditions that somebody should know of", labels=["code", "about", "severity"])
    for each in health:
        if each["behind"] is None:
            gauge.add_metric([each["code"], each["about"], each["severity"]], 1.0)
    return gauge
