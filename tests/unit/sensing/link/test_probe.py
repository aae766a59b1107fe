"""When a link is probed, and with how many bytes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.link.estimate import LinkReading
from collabd.sensing.link.probe import HEADER_BYTES, Probe, next_probe


def due(
    *, age: float | None, mbps: float, idle: float = 0.0, rtt_s: float = 0.02, spread: float = 0.1, most: int = 4000
) -> Probe | None:
    pace = 8e-6 / mbps
    reading = LinkReading(rtt_s=rtt_s, up_s_per_byte=pace, down_s_per_byte=pace, spread=spread, age_s=age, samples=1)
    return next_probe(reading, most_bytes=most, stale_s=0.3, share=0.01, idle_s=idle)


@pytest.mark.parametrize(
    ("age", "mbps", "idle", "due_s"),
    [
        (None, 10, 0.0, 0.0),  # never measured: now
        (0.1, 100, 0.0, 0.2),  # fresh for 0.2 s more
        (1.0, 100, 0.0, 0.0),  # stale, and a probe is nothing to this link
        (0.1, 5, 0.0, 0.292),  # 2.45 kB take 3.9 ms here: not more than one in 0.39 s
        (1.0, 100, 8.0, 1.0),  # nobody has called for 8 s: 2 s is fresh
        (20.0, 100, 59.0, 0.0),  # somebody may call again
        (20.0, 100, 60.0, None),  # nobody has called for a minute
        (None, 10, math.inf, None),  # nobody has ever called
    ],
)
def test_when(age: float | None, mbps: float, idle: float, due_s: float | None) -> None:
    probe = due(age=age, mbps=mbps, idle=idle)
    assert (None if probe is None else probe.due_s) == (None if due_s is None else pytest.approx(due_s, abs=1e-3))


def test_an_unsteady_link_is_probed_less_often() -> None:
    waits = [probe.due_s for spread in (0.1, 0.3, 0.75, 2.0) if (probe := due(age=0.0, mbps=100, spread=spread))]
    assert waits == pytest.approx([0.3, 0.6, 1.5, 1.5])


@pytest.mark.parametrize(
    ("mbps", "rtt_s", "nbytes"),
    [
        (50, 0.04, 4000),  # no more than is allowed
        (5, 0.04, 2200),  # two packets, of which the companion times the second
        (5, 0.005, 1125),  # 0.55 ms is unsure, and these and the headers take 2.2 ms
        (0.016, 0.04, 0),  # the headers alone take an eighth of a second
    ],
)
def test_how_many_bytes(mbps: float, rtt_s: float, nbytes: int) -> None:
    probe = due(age=1.0, mbps=mbps, rtt_s=rtt_s)
    assert probe is not None
    assert probe.nbytes == nbytes


@pytest.mark.parametrize(("mbps", "within_s"), [(0.016, 13), (0.1, 7), (1e-5, 300)])
def test_however_slow_a_link_was_it_is_probed_again(mbps: float, within_s: float) -> None:
    probe = due(age=0.0, mbps=mbps)
    assert probe is not None
    assert probe.due_s <= within_s


@given(st.floats(0.001, 1000), st.floats(1e-4, 1), st.floats(0.05, 2), st.floats(0, 59))
def test_probes_take_no_more_than_their_share(mbps: float, rtt_s: float, spread: float, idle: float) -> None:
    probe = due(age=0.0, mbps=mbps, rtt_s=rtt_s, spread=spread, idle=idle)
    assert probe is not None
    assert (probe.nbytes + HEADER_BYTES) * 8e-6 / mbps <= max(
        0.01 * probe.due_s * 1.001, 0.01 * 300 if mbps < 0.01 else 0
    )
