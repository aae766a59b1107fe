"""The name and the addresses of this machine, as others in its networks know them."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import psutil

from collabd.discovery.announcement import in_order, is_usable

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# The kernel's list of IPv6 addresses, and the flags in it of those that it will replace or may not use
# (IFA_F_TEMPORARY, IFA_F_DEPRECATED, IFA_F_TENTATIVE).
_IPV6 = Path("/proc/net/if_inet6")
_PASSING = 0x01 | 0x20 | 0x40


class InterfaceAddress(Protocol):
    """As psutil has it."""

    @property
    def address(self) -> str:
        """With the name of its interface behind a %, where it needs one."""

    @property
    def netmask(self) -> str | None:
        """Written like an address."""


Interfaces: TypeAlias = Callable[[], Mapping[str, Sequence[InterfaceAddress]]]


def machine_name() -> str:
    """This machine's name, in the form that configuration files allow."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "", socket.gethostname().split(".")[0])
    return plain.lstrip("._-")[:63] or "companion"


def own_addresses(interfaces: Interfaces = psutil.net_if_addrs, ipv6: Path = _IPV6) -> tuple[str, ...]:
    """The addresses by which other machines may reach this one, and will tomorrow. Raises `OSError`."""
    passing = _passing(ipv6)
    return in_order([*{str(each.ip) for each in _usable(interfaces) if str(each.ip) not in passing}])


def reached_at(listened: Iterable[str], own: Sequence[str]) -> tuple[str, ...]:
    """At which addresses others reach what listens on these of a machine whose `own` are those; empty: on all."""
    found = set()
    for address in listened:
        if address in {"", "0.0.0.0", "::"}:  # noqa: S104
            # asyncio and uvloop open sockets of IPv6 for IPv6 alone.
            found |= {each for each in own if not address or (":" in each) == (":" in address)}
        elif is_usable(address):
            found.add(address)
    return in_order([*found])


def own_networks(interfaces: Interfaces = psutil.net_if_addrs) -> tuple[Network, ...]:
    """The networks that this machine is in. Raises `OSError`."""
    return tuple({each.network for each in _usable(interfaces)})


def _usable(interfaces: Interfaces) -> Iterator[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    for addresses in interfaces().values():
        for each in addresses:
            # Others are of hardware, or hold only with the name of an interface.
            if is_usable(each.address):
                bits = ipaddress.ip_address(each.address).max_prefixlen
                length = int(ipaddress.ip_address(each.netmask)).bit_count() if each.netmask else bits
                yield ipaddress.ip_interface(f"{each.address}/{length}")


def _passing(path: Path) -> set[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return set()
    fields = [line.split() for line in lines]
    return {str(ipaddress.IPv6Address(int(each[0], 16))) for each in fields if int(each[4], 16) & _PASSING}
