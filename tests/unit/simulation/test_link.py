"""The schedule of one direction, under a clock that the test turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.simulation.link import ShapedLink
from collabd.simulation.traces import Trace, TraceStep


def link_of(rate: float | Trace = 1000.0, delay_s: float | None = 0.0, now: float = 0.0) -> ShapedLink[str]:
    return ShapedLink(rate if isinstance(rate, Trace) else Trace.constant(rate), delay_s, now)


def drain(link: ShapedLink[str]) -> list[tuple[float, str]]:
    """Every item with the time of its arrival, waking up for nothing but what the link announces."""
    seen: list[tuple[float, str]] = []
    while (now := link.next_event()) < math.inf:
        seen.extend((now, item) for item in link.arrivals(now))
    return seen


def approx(*expected: tuple[float, str]) -> list[tuple[object, str]]:
    return [(pytest.approx(at), item) for at, item in expected]


def test_packets_leave_one_after_the_other_and_arrive_a_delay_later() -> None:
    link = link_of(delay_s=0.25)
    for item in "abc":
        link.send(0, 100, item)
    assert link.queued_bytes == 300
    assert drain(link) == approx((0.35, "a"), (0.45, "b"), (0.55, "c"))
    assert link.queued_bytes == 0


def test_an_idle_link_starts_when_the_packet_comes() -> None:
    link = link_of()
    link.send(0, 100, "a")
    link.send(5, 100, "b")
    assert drain(link) == approx((0.1, "a"), (5.1, "b"))


def test_a_caller_that_comes_late_costs_the_link_no_time() -> None:
    link = link_of()
    for item in "abc":
        link.send(0, 100, item)
    assert link.arrivals(0.25) == ["a", "b"]
    assert drain(link) == approx((0.3, "c"))


def test_nothing_arrives_early() -> None:
    link = link_of(delay_s=0.5)
    link.send(0, 100, "a")
    assert link.arrivals(0.59) == []
    assert link.next_event() == pytest.approx(0.6)
    assert link.arrivals(0.61) == ["a"]


def test_an_item_without_bytes_keeps_its_place() -> None:
    link = link_of()
    for nbytes, item in ((100, "a"), (0, "end"), (100, "b")):
        link.send(0, nbytes, item)
    assert drain(link) == approx((0.1, "a"), (0.1, "end"), (0.2, "b"))


def test_a_new_rate_holds_from_where_the_packet_is() -> None:
    link = link_of(1000)
    link.send(0, 1000, "a")
    link.set_rate(0.5, Trace.constant(100))
    assert link.queued_bytes == pytest.approx(500)
    assert drain(link) == approx((5.5, "a"))


def test_rates_that_change_all_the_time_still_send() -> None:
    link = link_of(1000)
    link.send(0, 1000, "a")
    for i in range(99):
        link.set_rate(i / 100, Trace.constant(1000))
    assert drain(link) == approx((1.0, "a"))


def test_a_trace_begins_with_the_link_and_again_when_it_is_set() -> None:
    trace = Trace([TraceStep(1, 0), TraceStep(1, 1000)])
    link = link_of(trace, now=100)
    link.send(100, 100, "a")
    assert drain(link) == approx((101.1, "a"))
    link.set_rate(101.5, trace)
    link.send(101.5, 100, "b")
    assert drain(link) == approx((102.6, "b"))


def test_half_the_round_trip_of_the_trace_is_the_delay_unless_told_otherwise() -> None:
    trace = Trace([TraceStep(1, 1000, 0.4), TraceStep(1, 1000, 0.8)], repeat=False)
    link = link_of(trace, None)
    link.send(0, 100, "a")
    link.send(1, 100, "b")
    assert drain(link) == approx((0.3, "a"), (1.5, "b"))
    link.set_delay(0.1)
    link.send(3, 100, "c")
    assert drain(link) == approx((3.2, "c"))
    assert link_of(1000, None).delay(0) == 0


def test_a_shorter_delay_lets_nothing_overtake() -> None:
    link = link_of(delay_s=1)
    link.send(0, 100, "a")
    assert link.arrivals(0.1) == []
    link.set_delay(0)
    link.send(0.2, 100, "b")
    assert drain(link) == approx((1.1, "a"), (1.1, "b"))


def test_a_stopped_link_keeps_what_it_has_and_what_comes() -> None:
    link = link_of(delay_s=0.5)
    for item in "ab":
        link.send(0, 100, item)
    link.stop(0.15)
    link.send(1, 100, "c")
    assert drain(link) == approx((0.6, "a"))  # was on its way
    assert link.arrivals(100) == []
    link.resume(200)
    assert drain(link) == approx((200.55, "b"), (200.65, "c"))


def test_stop_and_resume_are_idempotent() -> None:
    link = link_of()
    link.send(0, 100, "a")
    link.resume(0.05)
    link.stop(0.06)
    link.stop(0.08)
    link.resume(1)
    link.resume(2)
    assert drain(link) == approx((1.04, "a"))


def test_a_dead_link_announces_nothing() -> None:
    link = link_of(0)
    link.send(0, 1, "a")
    assert link.next_event() == math.inf
    link.set_rate(10, Trace.constant(1))
    assert drain(link) == approx((11, "a"))


events = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 5000)),
        st.tuples(st.just("rate"), st.sampled_from([0.0, 100.0, 1e4])),
        st.tuples(st.just("delay"), st.sampled_from([0.0, 0.1, 2.0])),
        st.tuples(st.sampled_from(["stop", "resume", "wait"]), st.just(0)),
    ),
    max_size=40,
)


@given(events=events, gaps=st.lists(st.floats(0, 1), min_size=40, max_size=40))
def test_whatever_happens_all_arrives_once_and_in_order(events: list[tuple[str, float]], gaps: list[float]) -> None:
    link = link_of()
    now, sent, seen = 0.0, 0, list[str]()
    for (kind, value), gap in zip(events, gaps, strict=False):
        now += gap
        if kind == "send":
            link.send(now, int(value), str(sent))
            sent += 1
        elif kind == "rate":
            link.set_rate(now, Trace.constant(value))
        elif kind == "delay":
            link.set_delay(value)
        elif kind == "stop":
            link.stop(now)
        elif kind == "resume":
            link.resume(now)
        seen += link.arrivals(now)
        assert link.queued_bytes > -1e-6
    link.resume(now)
    link.set_rate(now, Trace.constant(1e6))
    seen += [item for _, item in drain(link)]
    assert seen == [str(i) for i in range(sent)]
    assert link.queued_bytes == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 3000)), min_size=1, max_size=30).map(sorted))
def test_no_stretch_of_time_carries_more_than_the_rate(sends: list[tuple[float, int]]) -> None:
    link = link_of(1000)
    for number, (at, nbytes) in enumerate(sends):
        link.send(at, nbytes, str(number))
    arrivals = [at for at, _ in drain(link)]
    finish = 0.0
    for (at, nbytes), arrival in zip(sends, arrivals, strict=True):
        finish = max(finish, at) + nbytes / 1000
        assert arrival == pytest.approx(finish)
