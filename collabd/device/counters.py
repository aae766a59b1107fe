"""Counts what the daemon has done since it started, for `collabctl status` and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from collab_sdk.errors import CollabError
from collab_sdk.reports import RequestsReport
from collab_sdk.result import Result

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Counters:
    """The counters of one daemon.

    They have their own registry, so that the counts of two daemons in one process (tests, simulation) stay apart.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answered = Counter(
            "collabd_answers", "Calls answered", ["model", "where", "codec"], registry=self._registry
        )
        self._refused = Counter("collabd_errors", "Calls that ended in an error", ["code"], registry=self._registry)
        self._degraded = Counter(
            "collabd_degraded", "Calls that were finished otherwise than planned", registry=self._registry
        )
        self._missed = Counter("collabd_budget_missed", "Caps that calls missed", ["cap"], registry=self._registry)
        self._latency = Histogram(
            "collabd_latency_seconds", "Latency of answered calls", ["model"], buckets=_BUCKETS, registry=self._registry
        )
        self._bytes = Counter("collabd_bytes", "Bytes exchanged with companions", ["way"], registry=self._registry)
        self._energy = Counter("collabd_energy_joules", "Modelled energy of answered calls", registry=self._registry)
        self._cost = Counter("collabd_cost", "What companions charged", registry=self._registry)
        self._waiting = Gauge("collabd_waiting", "Calls that wait for a place", registry=self._registry)
        self._in_flight = Gauge("collabd_in_flight", "Calls that run now", registry=self._registry)
        self.report = RequestsReport(total=0, failed=0, degraded=0, remote=0, budget_missed=0)

    @contextmanager
    def at_the_door(self) -> Iterator[None]:
        """Wrap the wait of each call for a place. Counts the calls that wait, and those that end without a place."""
        with self._waiting.track_inprogress():
            try:
                yield
            except CollabError as error:
                self.report["total"] += 1
                self._failed(error.code)
                raise

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wrap each call that got a place. Counts the call, and its error if it ends in one."""
        self.report["total"] += 1
        with self._in_flight.track_inprogress():
            try:
                yield
            except CollabError as error:
                self._failed(error.code)
                raise
            except Exception:
                self._failed(CollabError.code)
                raise

    def _failed(self, code: str) -> None:
        self.report["failed"] += 1
        self._refused.labels(code).inc()

    def answered(self, result: Result) -> None:
        """Count the answer `result`."""
        remote = "C" in result.ran
        self._answered.labels(result.model, "cloud" if remote else "device", result.plan.codec).inc()
        self._latency.labels(result.model).observe((result.measured.latency_ms or 0.0) / 1e3)
        self._bytes.labels("up").inc(result.bytes_up)
        self._bytes.labels("down").inc(result.bytes_down)
        self._energy.inc(result.energy_mj / 1e3)
        self._cost.inc(result.cost)
        self.report["remote"] += remote
        self.report["degraded"] += result.degraded
        self.report["budget_missed"] += not result.budget_met
        self._degraded.inc(int(result.degraded))
        for cap in result.unmet:
            self._missed.labels(cap).inc()

    def metrics(self) -> bytes:
        """All counters in the text format of Prometheus."""
        return generate_latest(self._registry)
