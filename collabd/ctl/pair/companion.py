"""The companion's half of the keys, and its configuration."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from collabd.atomic_file import replace_file
from collabd.ctl.command import Failure
from collabd.ctl.pair import devices
from collabd.ctl.pair.options import server_of
from collabd.ctl.pair.places import PRIVATE, PUBLIC, Place, rewrite, text_of
from collabd.ctl.pair.settings import changed

if TYPE_CHECKING:
    from collabd.ctl.pair.certificates import Pair


class CompanionHalf:
    """The companion's key files. Certificates of another authority that its configuration names stay unchanged."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.server = server_of(place)
        self.tokens = devices.token_file(place)
        self.devices = devices.names(self.tokens)
        self.has_own_certificate = self.server.tls_cert in {"", str(place.folder.absolute() / "server.crt")}

    def admit(self, device: str) -> str:
        """Make a new token for a device and return it."""
        from collabd.keys.tokens import line, new_token

        token = new_token()
        kept = devices.without(text_of(self.tokens), device)
        content = f"{kept.rstrip()}\n{line(device, token)}".lstrip().encode()
        if self.tokens.exists():
            owner = self.tokens.stat().st_uid if os.geteuid() == 0 else None
            replace_file(self.tokens, content, mode=PRIVATE, owner=owner)
        else:
            self._place.put("tokens", content, PRIVATE)
        return token

    def certify(self, hosts: Collection[str]) -> Pair:
        """A certificate for these names, those that it had, and all of this machine now.

        Returns the authority, which stays as it is.
        """
        from collabd.ctl.pair import certificates
        from collabd.discovery.machine import machine_name
        from collabd.keys.identity import hosts_of

        machine = machine_name()
        issuer = self._authority(machine)
        present = self._place.folder / "server.crt"
        wanted = {*hosts, *own_hosts()}
        if not (present.exists() and certificates.serves(present.read_bytes(), issuer.certificate, wanted)):
            if present.exists():
                wanted |= hosts_of(present.read_bytes())
            made = certificates.server(issuer, machine, sorted(wanted))
            self._place.put("server.key", made.key, PRIVATE)
            self._place.put("server.crt", made.certificate, PUBLIC)
        return issuer

    def configure(self, host: str, *, announce: bool, mutual: bool) -> bool:
        """Make the configuration use the keys and listen for other machines; returns whether the file changed."""
        wanted: dict[str, str | bool] = {}
        if not self.server.token_file:
            wanted["token_file"] = self._place.configured("tokens")
        if not self.server.tls_cert:
            wanted |= {
                "tls_cert": self._place.configured("server.crt"),
                "tls_key": self._place.configured("server.key"),
            }
        if mutual and not self.server.client_ca:
            wanted["client_ca"] = self._place.configured("ca.crt")
        if announce and not self.server.announce:
            wanted["announce"] = True
        if self.server.host in {"127.0.0.1", "localhost", "::1"}:
            wanted = {"host": "::" if _is_ipv6(host) else "0.0.0.0", **wanted}  # noqa: S104  that is what keys are for
        if wanted:
            path = self._place.configuration
            rewrite(path, changed(text_of(path), "[server]", wanted))
        return bool(wanted)

    def check_mutual(self) -> None:
        """`Failure`: another authority issues the devices' certificates."""
        ours = {"", str(self._place.folder.absolute() / "ca.crt")}
        if self.server.client_ca not in ours or not self.has_own_certificate:
            raise Failure(
                "collabctl pair did not make the certificates of this companion, so it cannot make one for the device"
            )

    def _authority(self, machine: str) -> Pair:
        from collabd.ctl.pair import certificates

        certificate, key = self._place.folder / "ca.crt", self._place.folder / "ca.key"
        if certificate.exists() and key.exists():
            return certificates.Pair(certificate.read_bytes(), key.read_bytes())
        made = certificates.authority(machine)
        # The daemon may not read this key: it does not need it, and an intruder in the daemon must not get it.
        self._place.put("ca.key", made.key, PRIVATE, daemons=False)
        self._place.put("ca.crt", made.certificate, PUBLIC)
        return made


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def own_hosts() -> set[str]:
    """The names and addresses of this machine, also the one by which it reaches itself."""
    from collabd.discovery.machine import machine_name, own_addresses

    machine = machine_name()
    return {machine, f"{machine}.local", "localhost", "127.0.0.1", "::1", *own_addresses()}
