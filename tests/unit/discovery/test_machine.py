"""The addresses of a machine that others may use, as its interfaces and its kernel show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from collabd.discovery.machine import machine_name, own_addresses, own_networks, reached_at

NONE = Path("/nonexistent")


@dataclass(frozen=True)
class Shown:
    address: str
    netmask: str | None = None


def interfaces() -> Mapping[str, Sequence[Shown]]:
    return {
        "lo": [Shown("127.0.0.1", "255.0.0.0"), Shown("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")],
        "eth0": [
            Shown("192.0.2.2", "255.255.255.0"),
            Shown("2001:db8::2", "ffff:ffff:ffff:ffff::"),
            Shown("2001:db8::dead", "ffff:ffff:ffff:ffff::"),
            Shown("fe80::1%eth0", "ffff:ffff:ffff:ffff::"),
            Shown("00:00:5e:00:53:01"),
        ],
        "tun0": [Shown("198.51.100.7")],
    }


def test_addresses_of_use_to_others_and_tomorrow(tmp_path: Path) -> None:
    flags = tmp_path / "if_inet6"
    flags.write_text(
        "20010db8000000000000000000000002 02 40 00 80     eth0\n"
        "20010db800000000000000000000dead 02 40 00 01     eth0\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
    )
    assert own_addresses(interfaces, flags) == ("192.0.2.2", "198.51.100.7", "2001:db8::2")
    assert "2001:db8::dead" in own_addresses(interfaces, NONE)


def test_networks_are_those_of_the_masks() -> None:
    assert set(own_networks(interfaces)) == {
        ip_network("192.0.2.0/24"),
        ip_network("2001:db8::/64"),
        ip_network("198.51.100.7/32"),
    }


def test_the_addresses_of_this_very_machine_are_in_its_networks() -> None:
    for address in own_addresses():
        assert any(ip_address(address) in network for network in own_networks())
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", machine_name())


def test_who_listens_is_reached_where_it_listens() -> None:
    own = ("192.0.2.2", "2001:db8::2")
    assert reached_at(["0.0.0.0"], own) == ("192.0.2.2",)  # noqa: S104
    assert reached_at(["::"], own) == ("2001:db8::2",)
    assert reached_at(["::", "0.0.0.0"], own) == own  # noqa: S104
    assert reached_at([""], own) == own
    assert reached_at(["192.0.2.2"], own) == ("192.0.2.2",)
    assert reached_at(["127.0.0.1"], own) == reached_at(["localhost"], own) == ()
