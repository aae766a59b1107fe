"""What is known of a link after what has been sent over it, and when it is probed."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.link.estimate import LinkEstimate, LinkReading, Transfer

MIXED = [1_000, 15_000, 4_000, 40_000, 900, 16_000] * 3
REPLY = 500.0
EVERY_S = 0.2
# (round trip in seconds, Mbit/s)
LINKS = [(rtt, rate) for rtt in (0.001, 0.002, 0.02, 0.2) for rate in (0.5, 5.0, 100.0)]


def exchange(rtt_s: float, mbps: float, up: float, down: float = REPLY, factor: float = 1.0) -> Transfer:
    pace = 8e-6 / mbps
    return Transfer(
        up_bytes=up, up_s=(rtt_s / 2 + up * pace) * factor, down_bytes=down, down_s=(rtt_s / 2 + down * pace) * factor
    )


def feed(link: LinkEstimate, rtt_s: float, mbps: float, sizes: list[int], *, start: float = 0.0) -> float:
    """One exchange each 0.2 s, 3 % more or less; returns the time of the last."""
    luck = random.Random(1)
    link.learn_rtt(rtt_s)
    for number, size in enumerate(sizes, start=1):
        link.learn(exchange(rtt_s, mbps, size, factor=luck.uniform(0.97, 1.03)), start + EVERY_S * number)
    return start + EVERY_S * len(sizes)


def seconds(reading: LinkReading, up: float, down: float = REPLY) -> float:
    return reading.rtt_s + up * reading.up_s_per_byte + down * reading.down_s_per_byte


def true_s(rtt_s: float, mbps: float, up: float, down: float = REPLY) -> float:
    return rtt_s + (up + down) * 8e-6 / mbps


def test_not_measured_has_no_age() -> None:
    assert LinkEstimate(0.7).read(5.0).age_s is None


def test_a_reading_ages() -> None:
    link = LinkEstimate(0.7)
    link.learn(exchange(0.02, 1.0, 16_000), 10.0)
    assert link.read(10.0).age_s == 0
    assert link.read(13.5).age_s == pytest.approx(3.5)
    assert link.read(13.5).samples == 1


@pytest.mark.parametrize(("rtt_s", "mbps"), LINKS)
@pytest.mark.parametrize("size", [1_000, 10_000, 40_000])
def test_a_steady_link_is_known(rtt_s: float, mbps: float, size: int) -> None:
    link = LinkEstimate(0.7)
    now = feed(link, rtt_s, mbps, MIXED)
    assert seconds(link.read(now), size) == pytest.approx(true_s(rtt_s, mbps, size), rel=0.1, abs=1e-3)


@pytest.mark.parametrize(("rtt_s", "mbps"), LINKS)
def test_the_second_transfer_is_predicted(rtt_s: float, mbps: float) -> None:
    link = LinkEstimate(0.7)
    now = feed(link, rtt_s, mbps, [16_000])
    assert seconds(link.read(now), 16_000) == pytest.approx(true_s(rtt_s, mbps, 16_000), rel=0.25, abs=1.5e-3)


@pytest.mark.parametrize("factor", [0.1, 0.3, 3, 10, 100])
@pytest.mark.parametrize(("rtt_s", "mbps"), LINKS)
def test_a_sudden_change_is_known_from_the_second_transfer(rtt_s: float, mbps: float, factor: float) -> None:
    link = LinkEstimate(0.7)
    now = feed(link, rtt_s, mbps, MIXED)
    link.learn(exchange(rtt_s, mbps / factor, 16_000), now + EVERY_S)
    found = seconds(link.read(now + EVERY_S), 16_000)
    assert found == pytest.approx(true_s(rtt_s, mbps / factor, 16_000), rel=0.25, abs=2e-3)


@pytest.mark.parametrize("rtt_s", [0.005, 0.04])
def test_a_small_probe_shows_that_a_steady_link_has_become_faster(rtt_s: float) -> None:
    """The 1.3 kB behind the first packet took 2 ms, and now take no longer than a timer tells."""
    link, bytes_up = LinkEstimate(0.7), 2400
    link.learn_rtt(rtt_s)
    for number in range(60):
        pace = 8e-6 / (5.0 if number < 59 else 50.0)
        link.learn(
            Transfer(
                up_bytes=bytes_up, up_s=rtt_s / 2 + bytes_up * pace, down_bytes=REPLY, down_s=rtt_s / 2, timed=True
            ),
            0.4 * number,
        )
    assert link.read(0.4 * 59).up_s_per_byte < 8e-6 / 30


def test_of_two_surprises_that_agree_the_second_is_believed() -> None:
    link = LinkEstimate(0.7)
    link.learn_rtt(0.005)
    luck = random.Random(3)
    for number in range(40):
        link.learn(exchange(0.005, 5.0, 16_000, factor=math.exp(luck.gauss(0, 0.3))), 0.2 * number)
    link.learn(exchange(0.005, 2.0, 16_000), 8.0)
    assert link.read(8.0).up_s_per_byte < 8e-6 / 3
    link.learn(exchange(0.005, 2.0, 16_000), 8.2)
    assert link.read(8.2).up_s_per_byte == pytest.approx(8e-6 / 2, rel=0.3)


def test_a_small_transfer_that_is_late_once_is_no_change() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.005, 20.0, [2_400] * 40)
    usual = link.read(now).up_s_per_byte
    late = Transfer(up_bytes=2_400, up_s=0.0025 + 0.005, down_bytes=REPLY, down_s=0.0025, timed=True)
    link.learn(late, now + 0.2)
    assert link.read(now + 0.2).up_s_per_byte < 1.5 * usual
    link.learn(late, now + 0.4)
    assert link.read(now + 0.4).up_s_per_byte > 3 * usual


def test_the_way_down_is_like_the_way_up_until_a_reply_has_told() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, 1.0, MIXED)
    before = link.read(now)
    assert before.down_s_per_byte == before.up_s_per_byte
    for _ in range(5):
        now += EVERY_S
        link.learn(
            Transfer(up_bytes=16_000, up_s=0.01 + 16_000 * 8e-6, down_bytes=20_000, down_s=0.01 + 20_000 * 8e-7), now
        )
    after = link.read(now)
    assert after.down_s_per_byte == pytest.approx(8e-7, rel=0.15)
    assert after.up_s_per_byte == pytest.approx(8e-6, rel=0.15)


def test_what_the_programs_add_is_part_of_the_round_trip() -> None:
    link = LinkEstimate(0.7)
    link.learn_rtt(0.002)
    for number in range(40):
        link.learn(
            Transfer(
                up_bytes=16_000, up_s=0.001 + 16_000 * 8e-8, down_bytes=REPLY, down_s=0.001 + REPLY * 8e-8 + 0.005
            ),
            0.2 * number,
        )
    assert link.read(8.0).rtt_s == pytest.approx(0.007, rel=0.1)


def test_a_bad_moment_is_forgotten_and_the_usual_expected() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, 5.0, MIXED * 3)
    usual = link.read(now).up_s_per_byte
    for _ in range(3):
        now += EVERY_S
        link.learn(exchange(0.02, 0.2, 16_000), now)
    assert link.read(now).up_s_per_byte > 15 * usual
    later = link.read(now + 60)
    assert later.up_s_per_byte < 3 * usual
    assert later.spread > link.read(now).spread


def test_what_is_not_refreshed_becomes_less_certain() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, 5.0, MIXED)
    assert link.read(now + 20).spread > link.read(now).spread


def test_spread_follows_the_noise() -> None:
    steady, noisy = LinkEstimate(0.7), LinkEstimate(0.7)
    now = feed(steady, 0.02, 1.0, [16_000] * 40)
    luck = random.Random(2)
    for number in range(40):
        noisy.learn(exchange(0.02, math.exp(luck.gauss(0, 0.7)), 16_000), 0.2 * number)
    assert steady.read(now).spread < 0.2
    assert 0.5 < noisy.read(now).spread < 1.8


def test_what_was_given_up_teaches_only_where_it_should_have_ended() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, 5.0, MIXED)
    before = link.read(now)
    link.learn_late(up_bytes=16_000, seconds=0.02, now=now)
    assert link.read(now) == before
    link.learn_late(up_bytes=16_000, seconds=0.5, now=now)
    assert seconds(link.read(now), 16_000) > 0.3


@given(
    st.lists(
        st.tuples(st.floats(), st.floats(), st.floats(), st.floats(), st.floats(-10, 1e6), st.booleans()), max_size=40
    )
)
def test_it_stays_finite_and_positive(events: list[tuple[float, float, float, float, float, bool]]) -> None:
    link = LinkEstimate(0.7)
    now = 0.0
    for up, up_s, down, down_s, pause, late in events:
        now += pause
        link.learn_rtt(up_s)
        if late:
            link.learn_late(up_bytes=up, seconds=up_s, now=now)
        else:
            link.learn(Transfer(up_bytes=up, up_s=up_s, down_bytes=down, down_s=down_s), now)
    reading = link.read(now)
    for value in (reading.rtt_s, reading.up_s_per_byte, reading.down_s_per_byte, reading.spread):
        assert 0 < value < math.inf


@pytest.mark.parametrize("mbps", [0.01, 0.1, 1.0])
def test_a_slow_link_of_which_nothing_is_heard_is_tried_again(mbps: float) -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, mbps, MIXED * 20)
    slow = link.read(now).up_s_per_byte
    assert link.read(now + 60).up_s_per_byte == pytest.approx(slow, rel=0.2)
    assert link.read(now + 900).up_s_per_byte == pytest.approx(8e-7, rel=0.1)


def test_a_fast_link_of_which_nothing_is_heard_stays_fast() -> None:
    link = LinkEstimate(0.7)
    now = feed(link, 0.02, 100.0, MIXED * 20)
    assert link.read(now + 900).up_s_per_byte == pytest.approx(8e-8, rel=0.3)
