"""How the rate of a link changes over time: traces, read from mahimahi, JSON or CSV files and integrated exactly."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

# One line of a mahimahi trace lets this many bytes through, including the IP header.
PACKET_BYTES = 1500

# No link has steps below 1 us, steps above 30,000 years or rates above 1 PB/s. With such values in a file, sums and
# quotients could overflow.
_LEAST_S, _MOST_S, _MOST_RATE = 1e-6, 1e12, 1e15

_BETWEEN_ENTRIES = re.compile(r"[\s,\[]*")


class TraceError(ValueError):
    """A trace that cannot be used. `line`: the wrong line, counted from 1. None: no single line is wrong."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class TraceStep(NamedTuple):
    """A time of constant `rate`, in bytes/s. `latency_s` is the round-trip time; None: the trace does not state it."""

    duration_s: float
    rate: float
    latency_s: float | None = None


class Trace:
    """A rate in bytes/s over time, in steps of constant rate. It starts at time 0.

    After its end the trace repeats, or its last step lasts for ever. Raises TraceError when there are no steps, when a
    duration is below 1 us, and when a figure is negative or infinite.
    """

    def __init__(self, steps: Iterable[TraceStep], *, repeat: bool = True) -> None:
        self.steps = tuple(steps)
        self.repeat = repeat
        if not self.steps or not all(_is_sound(step) for step in self.steps):
            raise TraceError("a trace needs steps of 1 us or more, with a rate and a latency of 0 or more, all finite")
        # For each step, its start and the number of bytes before it. The last entry is for the end of the trace.
        self._starts = (0.0, *accumulate(step.duration_s for step in self.steps))
        self._before = (0.0, *accumulate(step.duration_s * step.rate for step in self.steps))

    @classmethod
    def constant(cls, rate: float) -> Trace:
        """A trace with the same rate for ever, in bytes/s."""
        return cls([TraceStep(1.0, rate)], repeat=False)

    @property
    def duration_s(self) -> float:
        """The length of one round, in seconds."""
        return self._starts[-1]

    def rate_at(self, t_s: float) -> float:
        """The rate at this time, in bytes/s."""
        return self.steps[self._locate(t_s)[1]].rate

    def latency_at(self, t_s: float) -> float | None:
        """The round-trip time at this time, in seconds. None: the trace does not state it."""
        return self.steps[self._locate(t_s)[1]].latency_s

    def bytes_between(self, start_s: float, end_s: float) -> float:
        """How many bytes get through from one time to a later time."""
        (rounds, before), (more_rounds, after) = self._progress(start_s), self._progress(end_s)
        return (more_rounds - rounds) * self._before[-1] + after - before

    def finish_time(self, start_s: float, nbytes: float) -> float:
        """When the last of `nbytes` bytes is through, if they start at `start_s`. Infinity: never."""
        if nbytes <= 0:
            return start_s
        rounds, wanted = self._progress(start_s)
        wanted += nbytes
        if self.repeat:
            total = self._before[-1]
            if total == 0 or math.isinf(wanted / total):
                return math.inf
            # With divmod, a transfer that ends with a round would end in the next round, which may start with a pause.
            more = math.ceil(wanted / total) - 1
            rounds, wanted = rounds + more, min(wanted - more * total, total)
        index = bisect_left(self._before, wanted, hi=len(self.steps)) - 1
        if self.steps[index].rate == 0:
            return math.inf
        within = self._starts[index] + (wanted - self._before[index]) / self.steps[index].rate
        return max(start_s, rounds * self.duration_s + within)

    def _locate(self, t_s: float) -> tuple[float, int, float]:
        """The round, the step in that round, and the time since the start of that step."""
        rounds, within = divmod(t_s, self.duration_s) if self.repeat else (0.0, t_s)
        index = bisect_right(self._starts, within, hi=len(self.steps)) - 1
        return rounds, index, within - self._starts[index]

    def _progress(self, t_s: float) -> tuple[float, float]:
        """The round, and the bytes that got through in that round so far."""
        rounds, index, since = self._locate(t_s)
        return rounds, self._before[index] + since * self.steps[index].rate


def load(path: Path) -> Trace:
    """Read a trace from a file, which then repeats. The suffix `.json` or `.csv` names the format; else it is mahimahi.

    Raises TraceError, OSError.
    """
    # A byte that is not UTF-8 becomes a character that no parser accepts, so the error names the right line.
    text = path.read_text(encoding="utf-8", errors="replace")
    parse = {".json": parse_json, ".csv": parse_csv}.get(path.suffix.lower(), parse_mahimahi)
    return parse(text)


def parse_mahimahi(text: str) -> Trace:
    """Read a mahimahi trace. Each line lets one packet of 1500 bytes leave, at the latest in that millisecond.

    The last line is also the length of a round.
    """
    stamps = list(_stamps(text))
    if not stamps or stamps[-1] == 0:
        raise TraceError("a mahimahi trace needs a line with a time above 0 ms")
    # A packet takes the millisecond before its stamp. For stamp 0 that is the last millisecond of the previous round.
    packets = Counter(stamp or stamps[-1] for stamp in stamps)
    return Trace(_packet_steps(packets))


def _stamps(text: str) -> Iterator[int]:
    latest = 0
    for number, line in enumerate(text.splitlines(), start=1):
        # `\s` would also match white space that `int` does not accept.
        if not re.fullmatch(r"[ \t]*[0-9]{1,12}[ \t]*", line):
            raise TraceError(f"this is not a time in whole milliseconds: {line[:40]!r}", number)
        if int(line) < latest:
            raise TraceError(f"{int(line)} ms must not come after {latest} ms", number)
        latest = int(line)
        yield latest


def _packet_steps(packets: Mapping[int, int]) -> Iterator[TraceStep]:
    end = 0
    for stamp in sorted(packets):
        if stamp - 1 > end:
            yield TraceStep((stamp - 1 - end) / 1000, 0.0)
        yield TraceStep(0.001, packets[stamp] * PACKET_BYTES * 1000.0)
        end = stamp


def parse_json(text: str) -> Trace:
    """Read a list of {"duration_ms", "bandwidth_kbps", "latency_ms"}. The latency, a round trip, may be missing."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise TraceError(error.msg, error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise TraceError(f"this is not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise TraceError("this is not a list of {duration_ms, bandwidth_kbps, latency_ms}", 1)
    return Trace(_step(entry, partial(_line_of_entry, text, index)) for index, entry in enumerate(entries))


def _line_of_entry(text: str, index: int) -> int:
    """The line where an entry of the list starts. The JSON must be valid up to there, and the list must come first."""
    position = next(_BETWEEN_ENTRIES.finditer(text)).end()
    for _ in range(index):
        behind = json.JSONDecoder().raw_decode(text, position)[1]
        position = next(_BETWEEN_ENTRIES.finditer(text, behind)).end()
    return text.count("\n", 0, position) + 1


def parse_csv(text: str) -> Trace:
    """Read the fields of the JSON format as CSV columns. The first line names the columns."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        return Trace([_step(row, lambda: reader.line_num) for row in reader])
    except csv.Error as error:
        # The reader has counted the lines only up to the previous row.
        raise TraceError(str(error), reader.line_num + 1) from None


def _step(entry: object, line: Callable[[], int]) -> TraceStep:
    try:
        return _read(entry)
    except TraceError as error:
        raise TraceError(str(error), line()) from None


def _read(entry: object) -> TraceStep:
    if not isinstance(entry, dict):
        raise TraceError(f"expected {{duration_ms, bandwidth_kbps, latency_ms}}, got {entry!r:.40}")
    latency_s = _number(entry, "latency_ms") / 1000 if entry.get("latency_ms") not in (None, "") else None
    step = TraceStep(_number(entry, "duration_ms") / 1000, _number(entry, "bandwidth_kbps") * 125, latency_s)
    if not _is_sound(step):
        raise TraceError("the duration must be at least 1 us, and all numbers must be finite and not negative")
    return step


def _number(entry: Mapping[str, object], key: str) -> float:
    value = entry.get(key)
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise TraceError(f"{key} must be a number, not {value!r:.40}")


def _is_sound(step: TraceStep) -> bool:
    return (
        _LEAST_S <= step.duration_s <= _MOST_S
        and 0 <= step.rate <= _MOST_RATE
        and 0 <= (step.latency_s or 0.0) < math.inf
    )
