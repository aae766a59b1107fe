"""What the last minutes of reports say: series for sparklines, calls a second, and changes of plans."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collab_sdk.reports import StatusReport, StreamReport

# One a second: as many as a wide terminal shows.
_SAMPLES = 240
# Calls a second are those of the last reports.
_RATE_SAMPLES = 10
_CHANGES = 50

Key = tuple[str, ...]
ALL_CALLS: Key = ("calls",)


@dataclass(frozen=True)
class PlanChange:
    """The plan of a stream's calls became another; answers that ran nothing are no plans.

    `at`: seconds on the clock of the reports.
    """

    at: float
    before: StreamReport
    after: StreamReport


class Recent:
    """Reports are added as they come, about one a second. A daemon that was restarted begins a new history."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._series: defaultdict[Key, deque[float | None]] = defaultdict(lambda: deque(maxlen=_SAMPLES))
        self._calls: defaultdict[Key, deque[tuple[float, int]]] = defaultdict(lambda: deque(maxlen=_RATE_SAMPLES))
        self._streams: dict[Key, StreamReport] = {}
        self.changes: deque[PlanChange] = deque(maxlen=_CHANGES)

    def add(self, report: StatusReport, at: float) -> None:
        """A report that came `at` seconds."""
        if report["pid"] != self._pid:
            self._forget()
            self._pid = report["pid"]
        measured = dict(_measured(report))
        for key in self._series.keys() - measured.keys():
            del self._series[key]
        for key, value in measured.items():
            self._series[key].append(value)
        self._count(report, at)
        self._compare(report, at)

    def series(self, *key: str) -> Sequence[float | None]:
        """The values of ("cpu",), ("temperature",), ("power",), ("up" or "down" or "rtt", COMPANION)."""
        return self._series.get(key, ())

    def took(self, stream: StreamReport) -> Sequence[float | None]:
        """Milliseconds of the stream's latest call of each second; a gap where there was none."""
        return self._series.get(("ms", *stream_key(stream)), ())

    def rate(self, key: Key) -> float | None:
        """Calls a second of `ALL_CALLS` or a `stream_key`; None: not known yet."""
        counted = self._calls.get(key)
        if counted is None or len(counted) < 2:
            return None
        (began, first), (ended, last) = counted[0], counted[-1]
        return (last - first) / (ended - began) if ended > began else None

    def _forget(self) -> None:
        for kept in (self._series, self._calls, self._streams, self.changes):
            kept.clear()

    def _count(self, report: StatusReport, at: float) -> None:
        counts = {stream_key(stream): stream["calls"] for stream in report["streams"]}
        counts[ALL_CALLS] = report["requests"]["total"]
        for key in self._calls.keys() - counts.keys():
            del self._calls[key]
        for key, calls in counts.items():
            self._calls[key].append((at, calls))

    def _compare(self, report: StatusReport, at: float) -> None:
        reported = {stream_key(stream): stream for stream in report["streams"]}
        streams = {key: stream for key, stream in reported.items() if stream["placement"]}
        for key in self._streams.keys() - reported.keys():
            del self._streams[key]
        for key, after in streams.items():
            before = self._streams.get(key)
            if before is not None and _plan(before) != _plan(after):
                self.changes.appendleft(PlanChange(at, before, after))
        self._streams |= streams


def stream_key(stream: StreamReport) -> Key:
    """What tells a stream from the others."""
    return stream["model"], stream["stream"]


def _plan(stream: StreamReport) -> tuple[object, ...]:
    return tuple(stream[key] for key in ("cut", "codec", "precision", "cloud"))


def _measured(report: StatusReport) -> Iterator[tuple[Key, float | None]]:
    device = report["device"]
    yield ("cpu",), device["cpu_load"]
    yield ("temperature",), device["temperature_c"]
    yield ("power",), device["power_w"]
    for cloud in report["clouds"]:
        yield ("up", cloud["name"]), cloud["up_mbps"]
        yield ("down", cloud["name"]), cloud["down_mbps"]
        yield ("rtt", cloud["name"]), cloud["rtt_ms"]
    for stream in report["streams"]:
        # A call of this second; the status comes once a second.
        is_new = stream["age_s"] <= 1.5
        yield ("ms", *stream_key(stream)), stream["measured_ms"] if is_new else None
