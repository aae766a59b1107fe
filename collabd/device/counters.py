"""Counts what the daemon has done since it started, for `collabctl status` and for Prometheus.

A call only adds numbers. Prometheus' objects are made when somebody reads the metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collab_sdk.errors import CollabError
from collab_sdk.reports import RequestsReport
from collab_sdk.result import Result
from collab_sdk.vocabulary import Cap
from collabd.bounded_names import BoundedNames
from collabd.http.statistics import ModelStatistics

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Counters(Collector):
    """The counters of one daemon.

    They have their own registry, so that the counts of two daemons in one process (tests, simulation) stay apart.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        # By model, where the answer is from (a companion, the device, or the memory of a stream), and codec.
        self._answered: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._missed: defaultdict[str, int] = defaultdict(int)
        self._latency: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self._named = BoundedNames()
        self._promised = _Sum()
        self._statistics: defaultdict[str, ModelStatistics] = defaultdict(ModelStatistics)
        # By model.
        self.deadlines: defaultdict[str, Deadlines] = defaultdict(Deadlines)
        self._bytes_up = self._bytes_down = 0
        self._energy_j = self._cost = 0.0
        self._waiting = self._in_flight = 0
        self.report = RequestsReport(
            total=0, failed=0, degraded=0, failed_over=0, remote=0, inherited=0, checked=0, budget_missed=0
        )

    def beside(self, collector: Collector) -> None:
        """Tell what this collector tells among the metrics, too."""
        self._registry.register(collector)

    def refused(self, code: str) -> None:
        """Count a call that was refused at the door."""
        self.report["total"] += 1
        self._failed(code)

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Wrap the wait of a call at the door."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def began(self) -> None:
        """Count a call that got a place. `ended` must follow."""
        self.report["total"] += 1
        self._in_flight += 1

    def ended(self, error: BaseException | None, model: str, took_s: float) -> None:
        """A call that got a place has ended after `took_s`, with this error or with an answer.

        `model`: the one that it asked; empty: there is none of the name.
        """
        self._in_flight -= 1
        if isinstance(error, Exception):
            self._failed(error.code if isinstance(error, CollabError) else CollabError.code)
            if model:
                self.statistics(model).failed(took_s)

    def statistics(self, model: str) -> ModelStatistics:
        """The statistics of a model, by its name."""
        return self._statistics[self._named(model)]

    def refusals(self, code: str) -> int:
        """How many calls ended in the error of this code."""
        return self._refused.get(code, 0)

    def _failed(self, code: str) -> None:
        self.report["failed"] += 1
        self._refused[code] += 1

    def answered(self, result: Result) -> None:
        """Count the answer `result`."""
        remote, inherited = "C" in result.ran, result.inherited_age_s is not None
        where = "cloud" if remote else "memory" if inherited else "device"
        model = self._named(result.model)
        self._answered[model, where, result.plan.codec] += 1
        self._latency[model].observe((result.measured.latency_ms or 0.0) / 1e3)
        if result.fidelity is not None:
            self._promised.count += 1
            self._promised.sum += result.fidelity
        self._count_phases(result)
        self._bytes_up += result.bytes_up
        self._bytes_down += result.bytes_down
        self._energy_j += result.energy_mj / 1e3
        self._cost += result.cost
        self.report["remote"] += remote
        self.report["inherited"] += inherited
        self.report["degraded"] += result.degraded
        self.report["failed_over"] += result.failed_over
        self.report["budget_missed"] += not result.budget_met
        for cap in result.unmet:
            self._missed[cap] += 1
        if result.budget.latency_ms is not None:
            self.deadlines[model].calls += 1
            self.deadlines[model].missed += Cap.LATENCY in result.unmet

    def _count_phases(self, result: Result) -> None:
        taken = result.measured

        def seconds(*phases: float | None) -> float:
            return sum(filter(None, phases)) / 1e3

        self.statistics(result.model).answered(
            seconds(taken.latency_ms),
            input_s=seconds(taken.prep_ms, taken.look_ms, taken.encode_ms, taken.upload_ms, taken.decode_ms),
            infer_s=seconds(taken.little_ms, taken.head_ms, taken.tail_ms, taken.local_tail_ms),
            output_s=seconds(taken.answer_ms),
        )

    def metrics(self) -> bytes:
        """All counters in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All counters as Prometheus' objects."""
        answered = CounterMetricFamily("collabd_answers", "Calls answered", labels=["model", "where", "codec"])
        for labels, count in self._answered.items():
            answered.add_metric(labels, count)
        yield answered
        yield _counts("collabd_errors", "Calls that ended in an error", code=self._refused)
        degraded = self.report["degraded"]
        yield CounterMetricFamily("collabd_degraded", "Calls that were finished otherwise than planned", value=degraded)
        failed_over = self.report["failed_over"]
        yield CounterMetricFamily(
            "collabd_failed_over", "Calls that another companion finished than the planned one", value=failed_over
        )
        yield _counts("collabd_budget_missed", "Caps that calls missed", cap=self._missed)
        checked = self.report["checked"]
        yield CounterMetricFamily(
            "collabd_checked", "Answers that were computed although they might have been inherited", value=checked
        )
        latency = HistogramMetricFamily("collabd_latency_seconds", "Latency of answered calls", labels=["model"])
        for model, histogram in self._latency.items():
            latency.add_metric([model], histogram.buckets(), histogram.sum_s)
        yield latency
        yield SummaryMetricFamily(
            "collabd_fidelity",
            "What was promised of answers: how often such an answer is the unsplit network's",
            count_value=self._promised.count,
            sum_value=self._promised.sum,
        )
        ways = {"up": self._bytes_up, "down": self._bytes_down}
        yield _counts("collabd_bytes", "Bytes exchanged with companions", way=ways)
        yield CounterMetricFamily("collabd_energy_joules", "Modelled energy of answered calls", value=self._energy_j)
        yield CounterMetricFamily("collabd_cost", "What companions charged", value=self._cost)
        yield GaugeMetricFamily("collabd_waiting", "Calls that wait for a place", value=self._waiting)
        yield GaugeMetricFamily("collabd_in_flight", "Calls that run now", value=self._in_flight)


@dataclass(slots=True)
class Deadlines:
    """Answered calls whose budget had a latency, and those of them that took longer."""

    calls: int = 0
    missed: int = 0


@dataclass(slots=True)
class _Sum:
    count: int = 0
    sum: float = 0.0


class _Histogram:
    """How many calls had a latency of at most each of `_BUCKETS_S`."""

    def __init__(self) -> None:
        self.sum_s = 0.0
        self._counts = [0] * (len(_BUCKETS_S) + 1)

    def observe(self, seconds: float) -> None:
        self.sum_s += seconds
        self._counts[bisect_left(_BUCKETS_S, seconds)] += 1

    def buckets(self) -> list[tuple[str, int]]:
        names = (*map(str, _BUCKETS_S), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))


def _counts(name: str, documentation: str, **by_label: dict[str, int]) -> CounterMetricFamily:
    ((label, counts),) = by_label.items()
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
