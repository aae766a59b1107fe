"""What a companion announces, by where it listens and which certificate it shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collabd import __version__
from collabd.cloud.report.announcement import CloudAnnouncement
from collabd.config import CloudServerSettings
from collabd.ctl.pair import certificates
from collabd.discovery.machine import machine_name
from collabd.keys.identity import authority_of

OWN = ("192.0.2.2", "2001:db8::2")


@pytest.fixture
def everywhere() -> Iterator[socket.socket]:
    """It listens on all addresses of IPv4."""
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        yield listener


def test_without_tls_it_has_the_name_of_its_machine(everywhere: socket.socket) -> None:
    said = CloudAnnouncement(CloudServerSettings(insecure=True), [everywhere], own=lambda: OWN)()
    assert (said.name, said.secured, said.authority, said.version) == (machine_name(), False, "", __version__)
    assert (said.addresses, said.port) == (("192.0.2.2",), everywhere.getsockname()[1])


def test_with_tls_it_has_the_name_and_the_authority_of_its_certificate(
    everywhere: socket.socket, tmp_path: Path
) -> None:
    path, first, second = tmp_path / "crt", certificates.authority("a"), certificates.authority("b")
    path.write_bytes(certificates.server(first, "workshop", ["h"]).certificate)
    announcement = CloudAnnouncement(CloudServerSettings(tls_cert=str(path)), [everywhere], own=lambda: OWN)
    before = announcement()
    assert (before.name, before.secured) == ("workshop", True)
    path.write_bytes(certificates.server(second, "attic", ["h"]).certificate)
    assert announcement() == before
    announcement.renew()
    assert announcement().name == "attic"
    assert announcement().authority == authority_of(path.read_bytes()) != before.authority


def test_a_certificate_that_cannot_be_read_is_announced_without_what_it_says(
    everywhere: socket.socket, tmp_path: Path
) -> None:
    path = tmp_path / "crt"
    path.write_bytes(b"nothing")
    said = CloudAnnouncement(CloudServerSettings(tls_cert=str(path)), [everywhere], own=lambda: OWN)()
    assert (said.name, said.secured, said.authority) == (machine_name(), True, "")
    path.write_bytes(certificates.server(certificates.authority("a"), "My PC!", ["h"]).certificate)
    said = CloudAnnouncement(CloudServerSettings(tls_cert=str(path)), [everywhere], own=lambda: OWN)()
    assert (said.name, bool(said.authority)) == (machine_name(), True)


def test_who_listens_to_this_machine_alone_has_nothing_to_announce() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert CloudAnnouncement(CloudServerSettings(), [listener], own=lambda: OWN)().addresses == ()
