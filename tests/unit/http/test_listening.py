"""Where servers listen."""

from __future__ import annotations

import pytest

from collabd.http.listening import binds_loopback, host_and_port

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost", "127.1"])
def test_loopback_is_loopback(host: str) -> None:
    assert binds_loopback(host)


@pytest.mark.parametrize(
    "host",
    [EVERYWHERE, "::", "", "0", "192.168.1.10", "2001:db8::1", "::ffff:10.0.0.1", "no.such.host.invalid", "a" * 300],
)
def test_all_else_is_not(host: str) -> None:
    assert not binds_loopback(host)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:5000", "127.0.0.1", 5000), ("[::1]:80", "::1", 80), ("pi.local:0", "pi.local", 0)],
)
def test_an_address_has_a_host_and_a_port(listen: str, host: str, port: int) -> None:
    assert host_and_port(listen) == (host, port)
