"""The names in a companion's certificate, and the addresses of its machine."""

from __future__ import annotations

from pathlib import Path

from collabd.config import CloudConfig, CloudServerSettings
from collabd.ctl.doctor.context import COMPANION, DEVICE, Context, Settings
from collabd.ctl.doctor.names import check_names, of_names
from collabd.ctl.pair import certificates
from collabd.ctl.pair.companion import own_hosts
from tests.unit.ctl.doctor.conftest import Make

SERVER = CloudServerSettings(host="0.0.0.0", tls_cert="/etc/collabd/keys/collab-cloudd/server.crt")  # noqa: S104


def context(machine: Make, server: CloudServerSettings) -> Context:
    settings = Settings(COMPANION, Path("/x"), config=CloudConfig(server=server))
    return Context(machine(), Path("/x"), roles=(COMPANION,), settings=(settings,))


def test_an_address_that_the_certificate_lacks_is_named_with_the_way_to_renew_it() -> None:
    found = of_names(SERVER, {"pc", "192.0.2.1"}, ["192.0.2.1", "192.0.2.9"])
    assert (found.severity, found.code) == ("note", "certificate-names")
    assert "is not for 192.0.2.9: a device whose url names such an address refuses it" in found.title
    assert "sudo collabctl pair renew" in found.advice
    assert of_names(SERVER, {"pc", "192.0.2.1"}, ["192.0.2.1"]).severity == "ok"


def test_the_certificate_of_this_machine(machine: Make, tmp_path: Path) -> None:
    path = tmp_path / "server.crt"
    server = CloudServerSettings(host="", tls_cert=str(path))
    path.write_bytes(certificates.server(certificates.authority("pc"), "pc", own_hosts()).certificate)
    assert [each.severity for each in check_names(context(machine, server))] == ["ok"]
    path.write_bytes(b"nothing")
    assert list(check_names(context(machine, server))) == []


def test_there_is_nothing_to_say_without_a_certificate_or_a_companion(machine: Make) -> None:
    assert list(check_names(context(machine, CloudServerSettings()))) == []
    assert list(check_names(Context(machine(), Path("/x"), roles=(DEVICE,)))) == []
