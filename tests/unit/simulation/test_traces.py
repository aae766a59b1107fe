"""Link traces: what a file says, and the arithmetic of what gets through when."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collabd.simulation.traces import Trace, TraceError, TraceStep, load, parse_csv, parse_json, parse_mahimahi

rates = st.one_of(st.just(0.0), st.floats(1000, 1e8))
steps = st.builds(TraceStep, st.floats(0.001, 10), rates, st.none())
traces = st.builds(Trace, st.lists(steps, min_size=1, max_size=6), repeat=st.booleans())
times = st.floats(0, 100)
sizes = st.floats(1, 1e7)

# 1000 bytes/s for a second, nothing for two, 3000 bytes/s for one.
PAUSED = [TraceStep(1, 1000, 0.02), TraceStep(2, 0, 0.05), TraceStep(1, 3000)]


def by_stepping(trace: Trace, start_s: float, nbytes: float) -> float:
    """The finish time, found by walking from step to step."""
    at, rest = start_s, nbytes
    edges = [sum(step.duration_s for step in trace.steps[:i]) for i in range(len(trace.steps) + 1)]
    for _ in range(1000):
        rounds, within = divmod(at, trace.duration_s) if trace.repeat else (0.0, at)
        index = max(i for i, edge in enumerate(edges[:-1]) if edge <= within)
        forever = not trace.repeat and index == len(trace.steps) - 1
        end = math.inf if forever else rounds * trace.duration_s + edges[index + 1]
        rate = trace.steps[index].rate
        room = (end - at) * rate if rate else 0.0
        if rest <= room:
            return at + rest / rate
        if math.isinf(end):
            return math.inf
        # A step whose end is its start in floating point would never end.
        at, rest = max(end, math.nextafter(at, math.inf)), rest - room
    return math.nan


@given(trace=traces, start_s=times, nbytes=sizes)
def test_the_finish_is_where_the_integral_reaches_the_bytes(trace: Trace, start_s: float, nbytes: float) -> None:
    finish = trace.finish_time(start_s, nbytes)
    assume(math.isfinite(finish))
    assert finish > start_s
    assert trace.bytes_between(start_s, finish) == pytest.approx(nbytes, rel=1e-6, abs=1e-6 * trace.rate_at(finish) + 1)


@given(trace=traces, start_s=st.floats(0, 20), nbytes=st.floats(1, 1e4))
def test_the_finish_is_that_of_walking_step_by_step(trace: Trace, start_s: float, nbytes: float) -> None:
    expected = by_stepping(trace, start_s, nbytes)
    assume(not math.isnan(expected))
    finish = trace.finish_time(start_s, nbytes)
    if finish != pytest.approx(expected, rel=1e-6):
        # At the very edge of a pause, rounding decides on which side of it the last byte goes; both are right.
        assert abs(trace.bytes_between(finish, expected)) < 1e-3


@given(trace=traces, start_s=times, later_s=times, nbytes=sizes, more=sizes)
def test_more_bytes_and_a_later_start_never_finish_earlier(
    trace: Trace, start_s: float, later_s: float, nbytes: float, more: float
) -> None:
    finish = trace.finish_time(start_s, nbytes)
    assert trace.finish_time(start_s, nbytes + more) >= finish
    assert trace.finish_time(start_s + later_s, nbytes) >= finish - 1e-6


@given(trace=traces, start_s=times, middle_s=times, end_s=times)
def test_bytes_add_up_over_time(trace: Trace, start_s: float, middle_s: float, end_s: float) -> None:
    start_s, middle_s, end_s = sorted((start_s, middle_s, end_s))
    parts = trace.bytes_between(start_s, middle_s) + trace.bytes_between(middle_s, end_s)
    assert trace.bytes_between(start_s, end_s) == pytest.approx(parts, rel=1e-9, abs=1e-3)


@pytest.mark.parametrize(
    ("start_s", "nbytes", "finish_s"),
    [
        (0, 500, 0.5),
        (0, 1000, 1.0),  # before the pause, not after it
        (0, 1003, 3.001),
        (0.5, 501, 3 + 1 / 3000),
        (1.5, 3, 3.001),
        (0, 4000, 4.0),  # the whole round
        (0, 4001, 4.001),
        (0, 8000, 8.0),
        (3, 3000 + 4000 * 10 + 500, 44.5),
        (100.25, 0, 100.25),
    ],
)
def test_a_repeating_trace_with_a_pause(start_s: float, nbytes: float, finish_s: float) -> None:
    assert Trace(PAUSED).finish_time(start_s, nbytes) == pytest.approx(finish_s)


def test_a_trace_that_starts_with_a_pause_ends_a_round_without_it() -> None:
    assert Trace([TraceStep(1, 0), TraceStep(1, 1000)]).finish_time(0, 1000) == pytest.approx(2.0)
    assert Trace([TraceStep(1, 0), TraceStep(1, 1000)]).finish_time(0, 1001) == pytest.approx(3.001)


def test_a_trace_that_does_not_repeat_goes_on_as_it_ended() -> None:
    trace = Trace(PAUSED, repeat=False)
    assert trace.rate_at(1000) == 3000
    assert trace.finish_time(1000, 3000) == pytest.approx(1001)
    assert Trace([TraceStep(1, 1000), TraceStep(1, 0)], repeat=False).finish_time(0, 1001) == math.inf


def test_a_dead_link_never_finishes() -> None:
    assert Trace.constant(0).finish_time(5, 1) == math.inf
    assert Trace([TraceStep(1, 0)]).finish_time(5, 1) == math.inf
    assert Trace.constant(0).finish_time(5, 0) == 5


def test_rate_and_latency_are_those_of_the_step() -> None:
    trace = Trace(PAUSED)
    assert [trace.rate_at(t) for t in (0, 0.99, 1, 2.99, 3, 4, 5.5)] == [1000, 1000, 0, 0, 3000, 1000, 0]
    assert [trace.latency_at(t) for t in (0, 1, 3, 4)] == [0.02, 0.05, None, 0.02]
    assert trace.duration_s == 4


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [TraceStep(0, 1)],
        [TraceStep(-1, 1)],
        [TraceStep(1, -1)],
        [TraceStep(math.nan, 1)],
        [TraceStep(1, math.inf)],
        [TraceStep(1, 1, -0.1)],
    ],
)
def test_a_trace_without_sense_is_refused(steps: list[TraceStep]) -> None:
    with pytest.raises(TraceError):
        Trace(steps)


def test_mahimahi_is_one_packet_a_line() -> None:
    trace = parse_mahimahi("1\n1\n3\n10\n")
    assert trace.duration_s == pytest.approx(0.010)
    assert trace.bytes_between(0, 0.010) == pytest.approx(4 * 1500)
    assert trace.finish_time(0, 3000) == pytest.approx(0.001)
    assert trace.finish_time(0, 4500) == pytest.approx(0.003)
    assert trace.finish_time(0.003, 1500) == pytest.approx(0.010)
    assert trace.finish_time(0.010, 1500) == pytest.approx(0.0105)
    assert trace.latency_at(0) is None


def test_mahimahi_packets_at_time_zero_leave_with_the_end_of_the_round() -> None:
    assert parse_mahimahi("0\n4\n").bytes_between(0.003, 0.004) == pytest.approx(3000)


@given(st.lists(st.integers(0, 500), min_size=1).map(sorted))
def test_mahimahi_loses_no_packet(stamps: list[int]) -> None:
    assume(stamps[-1] > 0)
    trace = parse_mahimahi("\n".join(map(str, stamps)))
    assert trace.duration_s == pytest.approx(stamps[-1] / 1000)
    assert trace.bytes_between(0, trace.duration_s) == pytest.approx(1500 * len(stamps))


@pytest.mark.parametrize(
    ("text", "line"),
    [("1\n2\nx\n", 3), ("1\n-2\n", 2), ("5\n4\n", 2), ("1.5\n", 1), ("1\n\n2\n", 2), ("9" * 30, 1), ("\0", 1)],
)
def test_a_bad_mahimahi_line_is_named(text: str, line: int) -> None:
    with pytest.raises(TraceError, match=f"^line {line}: ") as caught:
        parse_mahimahi(text)
    assert caught.value.line == line


@pytest.mark.parametrize("text", ["", "0\n0\n"])
def test_a_mahimahi_trace_without_time_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match="above 0"):
        parse_mahimahi(text)


ENTRIES = [
    {"duration_ms": 500, "bandwidth_kbps": 8, "latency_ms": 20},
    {"duration_ms": 1500, "bandwidth_kbps": 16.0},
]
CSV = "duration_ms,bandwidth_kbps,latency_ms\n500,8,20\n1500,16.0,\n"


@pytest.mark.parametrize("trace", [parse_json(json.dumps(ENTRIES)), parse_csv(CSV)], ids=["json", "csv"])
def test_json_and_csv_say_the_same(trace: Trace) -> None:
    assert trace.steps == (TraceStep(0.5, 1000, 0.02), TraceStep(1.5, 2000, None))
    assert trace.repeat


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"duration_ms": 0, "bandwidth_kbps": 1}, "at least 1 us"),
        ({"duration_ms": 1, "bandwidth_kbps": -1}, "negative"),
        ({"duration_ms": 1}, "bandwidth_kbps"),
        ({"duration_ms": True, "bandwidth_kbps": 1}, "duration_ms"),
        ({"duration_ms": 10**400, "bandwidth_kbps": 1}, "duration_ms"),
        ({"duration_ms": 1, "bandwidth_kbps": math.nan}, "finite"),
        ({"duration_ms": 1, "bandwidth_kbps": 1, "latency_ms": [20]}, "latency_ms"),
        ([1, 2], "expected {duration_ms"),
        (7, "expected {duration_ms"),
    ],
)
def test_a_bad_json_entry_is_named_by_its_line(bad: object, message: str) -> None:
    lines = ["[", *(f"  {json.dumps(entry)}," for entry in (*ENTRIES, bad)), f"{json.dumps(ENTRIES[0])}", "]"]
    with pytest.raises(TraceError, match=message) as caught:
        parse_json("\n".join(lines))
    assert caught.value.line == 4


@pytest.mark.parametrize(("text", "line"), [("[\n{]", 2), ("", 1), ("{}", 1), ("[]", 1), ("null", 1)])
def test_what_is_no_json_list_is_refused(text: str, line: int) -> None:
    with pytest.raises(TraceError) as caught:
        parse_json(text)
    assert caught.value.line == line


def test_deep_json_is_refused() -> None:
    with pytest.raises(TraceError):
        parse_json("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("duration_ms,bandwidth_kbps\n1,2\n1,x\n", 3),
        ("duration_ms,bandwidth_kbps\n1,2\n0,2\n", 3),
        ("time,rate\n1,2\n", 2),
        ('duration_ms,bandwidth_kbps\n1,"2\n', 2),
        ("duration_ms,bandwidth_kbps\n1\n", 2),
    ],
)
def test_a_bad_csv_line_is_named(text: str, line: int) -> None:
    with pytest.raises(TraceError) as caught:
        parse_csv(text)
    assert caught.value.line == line


def test_the_suffix_tells_the_format(tmp_path: Path) -> None:
    files = {"a.json": json.dumps(ENTRIES), "b.CSV": CSV, "c.up": "1\n2\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert load(tmp_path / "a.json").steps == load(tmp_path / "b.CSV").steps
    assert load(tmp_path / "c.up").duration_s == pytest.approx(0.002)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trace").write_bytes(b"1\n\xff\xfe\n")
    with pytest.raises(TraceError, match="line 2"):
        load(tmp_path / "trace")
