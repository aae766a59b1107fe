"""TCP_INFO, of a real connection and of structs cut short."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.sensing.link.round_trip import RoundTrip, parse_info, round_trip_s
from collabd.sensing.reading import NotMeasured


def info(*, rtt: int, min_rtt: int) -> bytes:
    return struct.pack("=68xI76xI80x", rtt, min_rtt)


def test_a_connection_over_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()[:2]) as client, server.accept()[0] as accepted:
            client.sendall(b"ping")
            assert accepted.recv(4) == b"ping"
            measured = round_trip_s(client)
            assert not isinstance(measured, NotMeasured)
            assert 0 < measured < 1
        assert isinstance(round_trip_s(client), NotMeasured)  # closed


def test_what_is_no_tcp_connection() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert isinstance(round_trip_s(one), NotMeasured)
    assert isinstance(round_trip_s(None), NotMeasured)


@pytest.mark.parametrize(
    ("struct_", "seconds"),
    [
        (info(rtt=25_000, min_rtt=20_000), 0.02),
        (info(rtt=25_000, min_rtt=20_000)[:150], 0.025),  # a kernel that knows no minimum
        (info(rtt=25_000, min_rtt=0xFFFFFFFF), 0.025),
        (info(rtt=0, min_rtt=0), None),
        (info(rtt=25_000, min_rtt=20_000)[:71], None),
        (b"", None),
    ],
)
def test_struct(struct_: bytes, seconds: float | None) -> None:
    measured = parse_info(struct_)
    assert isinstance(measured, NotMeasured) if seconds is None else measured == seconds


def test_behind_a_proxy_pings_know_the_rest_of_the_way() -> None:
    trip = RoundTrip()
    for seconds in (0.123, 0.121, 0.150, 0.122):
        trip.pinged(seconds, 0.001)
    assert trip.of(0.001) == pytest.approx(0.121)
    assert trip.needs_pings


def test_what_programs_take_is_no_proxy() -> None:
    trip = RoundTrip()
    assert trip.of(0.02) == 0.02
    trip.pinged(0.0235, 0.02)
    assert trip.of(0.02) == 0.02
    trip.pinged(0.150, 0.02)  # one that waited for something
    assert trip.of(0.02) == 0.02
    assert not trip.needs_pings


def test_where_the_kernel_tells_nothing_pings_do() -> None:
    trip = RoundTrip()
    nothing = NotMeasured("tcp: there is no connection")
    assert trip.of(nothing) is nothing
    trip.pinged(0.02, nothing)
    assert trip.of(nothing) == 0.02
    assert trip.needs_pings


@given(st.binary(max_size=300))
def test_any_bytes_parse(struct_: bytes) -> None:
    measured = parse_info(struct_)
    assert isinstance(measured, NotMeasured) or 0 < measured < 4295
