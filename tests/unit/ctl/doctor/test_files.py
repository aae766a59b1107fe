"""Configuration, keys and packages: files, whose rights differ."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collab_sdk import UnixTransport
from collab_sdk.reports import ModelReport, StatusReport
from collabd.config import CloudConfig, DeviceConfig
from collabd.ctl.doctor.configuration import check_configuration
from collabd.ctl.doctor.context import COMPANION, DEVICE, Context, Heard, Settings, gather
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.keys import KeyFile, check_keys, of_certificate
from collabd.ctl.doctor.packages import check_packages
from tests.bench.shipped import MODELS
from tests.unit.ctl.conftest import STATUS
from tests.unit.ctl.doctor.conftest import Make

SOCKET = Path("/x")
ALEXNET = MODELS / "alexnet_cifar10/package"


def summary(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in findings]


def test_every_mistake_of_a_configuration(machine: Make, tmp_path: Path) -> None:
    there = machine({"/etc/collabd/collabd.toml": "[planning]\nmin_fidelty = 0.9\n[link]\nmemory = 7\n"})
    found = list(check_configuration(gather(there, UnixTransport(tmp_path / "none"))))
    assert summary(found) == [("configuration", "error")] * 2
    assert "did you mean 'min_fidelity'" in found[0].title
    assert "reload-or-restart collabd" in found[0].advice


def test_what_is_installed_is_found_and_read(machine: Make, tmp_path: Path) -> None:
    there = machine({"/etc/collabd/collab-cloudd.toml": "[server]\nport = 9000\n"})
    context = gather(there, UnixTransport(tmp_path / "none"))
    assert context.roles == (COMPANION,)
    assert context.device is None
    assert context.companion is not None
    assert context.companion.server.port == 9000
    assert [each.severity for each in check_configuration(context)] == ["ok"]


def test_without_anything_installed_a_device_is_looked_for(machine: Make, tmp_path: Path) -> None:
    context = gather(machine(), UnixTransport(tmp_path / "none"))
    assert context.roles == (DEVICE,)
    assert "no file" in next(check_configuration(context)).title


def test_a_configuration_that_may_not_be_read_is_not_measured(machine: Make) -> None:
    settings = Settings(DEVICE, Path("/etc/collabd/collabd.toml"), forbidden=True)
    (found,) = check_configuration(Context(machine(), SOCKET, settings=(settings,)))
    assert found.severity == "not-measured"
    assert "sudo" in found.advice


def with_token(machine: Make, token: Path) -> Context:
    text = f'[[clouds]]\nname = "pc"\nurl = "https://pc.example:8470"\ntoken_file = "{token}"\n'
    there = machine({"/etc/collabd/collabd.toml": text})
    return gather(there, UnixTransport(token.parent / "none"))


@pytest.mark.parametrize(
    ("mode", "severity"),
    [(0o400, "ok"), (0o600, "ok"), (0o440, "warning"), (0o444, "error"), (0o604, "error"), (0o660, "error")],
)
def test_a_token_that_others_may_get_at(machine: Make, tmp_path: Path, mode: int, severity: str) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 43)
    token.chmod(mode)
    (found,) = check_keys(with_token(machine, token))
    assert (found.code, found.severity) == ("keys", severity)
    assert "companion pc: token_file" in found.title
    assert "x" * 43 not in found.title + found.advice


def test_a_token_that_is_not_there(machine: Make, tmp_path: Path) -> None:
    (found,) = check_keys(with_token(machine, tmp_path / "token"))
    assert found.severity == "error"
    assert "no such file" in found.title


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_what_only_root_may_see_is_not_measured(machine: Make, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    token = folder / "token"
    token.write_text("x" * 43)
    folder.chmod(0o700)
    context = with_token(machine, token)
    os.seteuid(65534)
    try:
        found = list(check_keys(context))
    finally:
        os.seteuid(0)
    assert summary(found) == [("keys", "not-measured")]


@pytest.mark.parametrize(("days", "severity"), [(-1, "error"), (10, "warning"), (400, "ok")])
def test_certificates_by_their_time(days: int, severity: str) -> None:
    now = datetime.now(UTC)
    pem = certificate(now - timedelta(days=500), now + timedelta(days=days, hours=1))
    key = KeyFile(role=COMPANION, setting="server: tls_cert", path=Path("/x"), private=False)
    assert of_certificate(key, pem, now).severity == severity


def test_a_certificate_of_the_future_blames_the_clock() -> None:
    now = datetime.now(UTC)
    pem = certificate(now + timedelta(days=1), now + timedelta(days=2))
    key = KeyFile(role=COMPANION, setting="server: tls_cert", path=Path("/x"), private=False)
    assert "clock" in of_certificate(key, pem, now).advice


def test_no_certificate_at_all() -> None:
    key = KeyFile(role=COMPANION, setting="server: tls_cert", path=Path("/x"), private=False)
    assert of_certificate(key, b"nonsense", datetime.now(UTC)).severity == "error"


def certificate(first: datetime, last: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pc")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, first, last)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def serving(machine: Make, package: Path, digest: str) -> Context:
    model: ModelReport = {**STATUS["models"][0], "path": str(package), "digest": digest}
    status: StatusReport = {**STATUS, "models": [model]}
    return Context(machine(), SOCKET, heard=Heard(status))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    if not ALEXNET.exists():
        pytest.skip("models are not built")
    return Path(shutil.copytree(ALEXNET, tmp_path / "alexnet"))


def test_whole_packages(machine: Make, package: Path) -> None:
    digest = (package / "digest").read_text().strip()
    assert summary(list(check_packages(serving(machine, package, digest)))) == [("packages", "ok")]


def test_a_package_that_changed_on_the_disk(machine: Make, package: Path) -> None:
    (found,) = check_packages(serving(machine, package, "sha256:other"))
    assert (found.severity, "since collabd loaded it" in found.title) == ("warning", True)


def test_a_broken_package(machine: Make, package: Path) -> None:
    (package / "LICENCE").write_text("another")
    (found,) = check_packages(serving(machine, package, ""))
    assert found.severity == "error"
    assert "the files have digest" in found.title


def test_packages_of_a_companion_without_a_daemon(machine: Make, package: Path) -> None:
    settings = Settings(COMPANION, SOCKET, config=CloudConfig(state_dir=str(package.parent / "state")))
    shutil.copytree(package, package.parent / "state/models/alexnet")
    context = Context(machine(), SOCKET, roles=(COMPANION,), settings=(settings,))
    assert [finding.title for finding in check_packages(context)] == [
        "the digests of 1 of 1 model packages match their files"
    ]


def test_no_package_at_all(machine: Make) -> None:
    settings = Settings(DEVICE, SOCKET, config=DeviceConfig())
    (found,) = check_packages(Context(machine(), SOCKET, settings=(settings,)))
    assert found.severity == "warning"
