"""An exchange's two ways, where the companion measured one of them and where it did not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.link.estimate import LinkReading
from collabd.sensing.link.split import split
from collabd.sensing.reading import NotMeasured

# 20 ms there and back, 8 Mbit/s up and 16 down.
KNOWN = LinkReading(rtt_s=0.02, up_s_per_byte=1e-6, down_s_per_byte=0.5e-6, spread=0.1, age_s=1.0, samples=9)
UNKNOWN = NotMeasured("tcp: there is no connection")


def test_a_request_of_many_packets_was_timed_as_it_came_in() -> None:
    # 11,000 bytes, of which 1,100 came with the headers, at 0.8 Mbit/s; then 10 ms back.
    transfer = split(0.13, body_bytes=11_000, down_bytes=900, receive_s=0.099, round_trip_s=0.02, known=KNOWN)
    assert transfer.up_s == pytest.approx(0.01 + 0.11)
    assert transfer.down_s == pytest.approx(0.01)
    assert (transfer.up_bytes, transfer.down_bytes) == (11_000, 900)


@pytest.mark.parametrize("receive_s", [0.0, None])
def test_a_small_request_is_split_as_was_believed(receive_s: float | None) -> None:
    believed_s = 0.02 + 1000e-6 + 2000 * 0.5e-6
    transfer = split(
        3 * believed_s, body_bytes=1000, down_bytes=2000, receive_s=receive_s, round_trip_s=0.02, known=KNOWN
    )
    assert transfer.up_s == pytest.approx(3 * 0.011)
    assert transfer.down_s == pytest.approx(3 * 0.011)


def test_behind_a_proxy_that_is_close_the_rest_is_the_way_back() -> None:
    transfer = split(0.021, body_bytes=1000, down_bytes=0, receive_s=0.0, round_trip_s=0.0002, known=KNOWN)
    assert transfer.up_s == pytest.approx(0.0011, rel=0.01)


def test_without_the_kernels_round_trip_it_is_the_one_believed() -> None:
    transfer = split(0.13, body_bytes=11_000, down_bytes=900, receive_s=0.099, round_trip_s=UNKNOWN, known=KNOWN)
    assert transfer.up_s == pytest.approx(0.12)


seconds = st.floats(1e-6, 1e4)
sizes = st.floats(0, 1e9)


@given(seconds, sizes, sizes, st.none() | st.floats(0, 1e4), st.just(UNKNOWN) | seconds)
def test_both_ways_take_time_and_make_the_whole(
    link_s: float, up: float, down: float, receive_s: float | None, round_trip_s: float | NotMeasured
) -> None:
    transfer = split(
        link_s, body_bytes=up, down_bytes=down, receive_s=receive_s, round_trip_s=round_trip_s, known=KNOWN
    )
    assert transfer.up_s > 0
    assert transfer.down_s > 0
    assert transfer.up_s + transfer.down_s == pytest.approx(link_s)
