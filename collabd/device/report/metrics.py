"""The state of the daemon for Prometheus: its health, its companions, the links to them, the machine, and what audits
have counted.

What is not measured is left out: a gauge of zero would say that it is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collab_sdk.reports import CloudReport, DeviceReport, StatusReport
from collab_sdk.vocabulary import CompanionState
from collabd.health.metrics import health_metric

# By label, and its figure; None: not measured.
_Figures = Sequence[tuple[tuple[str, ...], float | None]]


class StatusMetrics(Collector):
    """Reads the status anew whenever somebody reads the metrics."""

    def __init__(self, status: Callable[[], StatusReport]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        status = self._status()
        yield _gauge("collabd_models", "Models that answer calls", [((), len(status["models"]))])
        yield from _of_companions(status["clouds"])
        yield from _of_machine(status["device"])
        yield health_metric("collabd_health", status["health"])
        audits = status["audits"]
        yield CounterMetricFamily(
            "collabd_audited_pictures", "Pictures of calls that audits have counted", value=audits["pictures"]
        )
        yield CounterMetricFamily(
            "collabd_audit_core_seconds", "Seconds of a core that audits have taken", value=audits["core_s"]
        )


def _of_companions(clouds: Sequence[CloudReport]) -> Iterator[Metric]:
    def each(figure: Callable[[CloudReport], float | None]) -> _Figures:
        return [((cloud["name"],), figure(cloud)) for cloud in clouds]

    by = ("companion",)
    yield _gauge(
        "collabd_companion_up",
        "Whether calls may go to the companion",
        each(lambda it: float(it["state"] == CompanionState.UP)),
        by=by,
    )
    yield _gauge(
        "collabd_companion_queue_seconds",
        "How long requests wait at the companion now",
        each(lambda it: _scaled(it["queue_ms"], 1e-3)),
        by=by,
    )
    yield _gauge("collabd_companion_load_ratio", "Share of its CPUs in use", each(lambda it: it["load"]), by=by)
    yield _gauge(
        "collabd_companion_slowdown_ratio",
        "Time of a tail there now, by the time in its profile",
        each(lambda it: it["speed_factor"]),
        by=by,
    )
    yield _gauge(
        "collabd_link_rtt_seconds",
        "There and back, as estimated now",
        each(lambda it: _scaled(it["rtt_ms"], 1e-3)),
        by=by,
    )
    rates = [((it["name"], "up"), _scaled(it["up_mbps"], 1e6)) for it in clouds]
    rates += [((it["name"], "down"), _scaled(it["down_mbps"], 1e6)) for it in clouds]
    yield _gauge("collabd_link_bits_per_second", "Rate of the link, as estimated now", rates, by=("companion", "way"))


def _of_machine(device: DeviceReport) -> Iterator[Metric]:
    throttled = device["throttled"]
    figures: dict[str, tuple[str, float | None]] = {
        "cpu_load_ratio": ("Share of the CPUs in use", device["cpu_load"]),
        "slowdown_ratio": ("Time of a head now, by the time in its profile", device["speed_factor"]),
        "temperature_celsius": ("Of the processor", device["temperature_c"]),
        "throttled": ("Whether the firmware slows the processor", None if throttled is None else bool(throttled)),
        "battery_ratio": ("Charge of the battery", device["battery"]),
        "power_watts": ("What the device takes now, measured or modelled", device["power_w"]),
        "resident_bytes": ("Memory of the daemon", device["memory_mb"] * 2**20),
    }
    for name, (documentation, figure) in figures.items():
        yield _gauge(f"collabd_{name}", documentation, [((), figure)])


def _gauge(name: str, documentation: str, figures: _Figures, *, by: Sequence[str] = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=by)
    for values, figure in figures:
        if figure is not None:
            family.add_metric(values, figure)
    return family


def _scaled(figure: float | None, factor: float) -> float | None:
    return None if figure is None else figure * factor
