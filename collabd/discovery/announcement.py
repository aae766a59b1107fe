"""What a companion announces of itself in the local network, and what is believed of what others announce.

An announcement is a hint, never a proof: anyone in the network can announce anything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A service of DNS-SD (RFC 6763).
SERVICE = "_collabd._tcp.local."
# The form of the TXT record; a newer one may mean other things.
_FORM = "1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,32}")
_AUTHORITY = re.compile(r"([0-9a-f]{40,128})?")
# No machine has more of use.
_MOST_ADDRESSES = 16


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A companion, as it announces itself.

    `name`: that of its certificate, else of its machine. `secured`: whether it speaks TLS. `authority`: who issued its
    certificate, as `collabd.keys.identity` has it; empty without TLS. The addresses are in order of preference.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    version: str
    secured: bool
    authority: str = ""

    def text(self) -> dict[str, str]:
        """The TXT record."""
        return {
            "txtvers": _FORM,
            "version": self.version,
            "tls": "1" if self.secured else "0",
            "name": self.name,
            "ca": self.authority,
        }

    @property
    def urls(self) -> list[str]:
        """One for each address."""
        return [url_of(address, self.port, secured=self.secured) for address in self.addresses]


def url_of(host: str, port: int, *, secured: bool) -> str:
    """The URL of a companion."""
    return f"{'https' if secured else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def believed(text: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int | None) -> Announcement | None:
    """The announcement that was heard; None: it is not one that this version understands, or is of no use."""
    name, version, authority = (_value(text, key) for key in ("name", "version", "ca"))
    usable = tuple(address for address in addresses if is_usable(address))[:_MOST_ADDRESSES]
    right = is_name(name) and _VERSION.fullmatch(version) and _AUTHORITY.fullmatch(authority)
    if not (right and usable and port and _value(text, "txtvers") == _FORM):
        return None
    return Announcement(
        name=name,
        addresses=in_order(usable),
        port=port,
        version=version,
        secured=_value(text, "tls") == "1",
        authority=authority,
    )


def is_name(name: str) -> bool:
    """Whether a companion may announce itself by this name."""
    return _NAME.fullmatch(name) is not None


def is_usable(address: str) -> bool:
    """Whether other machines can reach a machine by this address, without the name of an interface."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


def in_order(addresses: Sequence[str]) -> tuple[str, ...]:
    """Addresses of IPv4 first, as people read and type these."""
    return tuple(sorted(addresses, key=lambda address: (":" in address, int(ipaddress.ip_address(address)))))


def _value(text: Mapping[bytes, bytes | None], key: str) -> str:
    return (text.get(key.encode()) or b"").decode("ascii", "replace")
