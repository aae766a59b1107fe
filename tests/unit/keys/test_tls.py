"""TLS contexts from key files, and what is said of files that make none."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from collabd.ctl.pair import certificates
from collabd.ctl.pair.certificates import Pair
from collabd.keys.files import KeyProblem
from collabd.keys.tls import client_context, server_context


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.authority("here")


@pytest.fixture(scope="module")
def server(authority: Pair) -> Pair:
    return certificates.server(authority, "here", ["localhost", "127.0.0.1"])


def years_from_now(years: int) -> Callable[[], dt.datetime]:
    """A clock that is wrong by so much."""
    return lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=366 * years)


def put(folder: Path, name: str, pair: Pair) -> tuple[str, str]:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    key.chmod(0o400)
    return str(certificate), str(key)


def test_nothing_older_than_tls_1_2(tmp_path: Path, authority: Pair, server: Pair) -> None:
    ca, _ = put(tmp_path, "ca", authority)
    for context in (server_context(*put(tmp_path, "server", server), ""), client_context(ca, "", "")):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    client = client_context("", "", "")
    assert client.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert client.check_hostname
    assert client.verify_mode is ssl.CERT_REQUIRED


def test_with_an_authority_of_clients_a_certificate_is_demanded(tmp_path: Path, authority: Pair, server: Pair) -> None:
    ca, _ = put(tmp_path, "ca", authority)
    assert server_context(*put(tmp_path, "server", server), ca).verify_mode is ssl.CERT_REQUIRED


def test_an_expired_certificate_is_told_when_the_companion_starts(tmp_path: Path, authority: Pair) -> None:
    expired = certificates.server(authority, "here", ["localhost"], now=years_from_now(-10))
    certificate, key = put(tmp_path, "server", expired)
    with pytest.raises(KeyProblem, match="certificate has expired") as problem:
        server_context(certificate, key, "")
    assert str(problem.value).startswith(certificate)
    ca, _ = put(tmp_path, "ca", authority)
    with pytest.raises(KeyProblem, match="certificate has expired"):
        server_context(certificate, key, ca)


def test_a_certificate_of_days_to_come_is_none_of_our_business(tmp_path: Path, authority: Pair) -> None:
    """The clock may be wrong, and will be put right."""
    early = certificates.server(authority, "here", ["localhost"], now=years_from_now(6))
    server_context(*put(tmp_path, "server", early), "")


def test_files_that_make_no_context_are_named_without_their_content(
    tmp_path: Path, authority: Pair, server: Pair
) -> None:
    certificate, key = put(tmp_path, "server", server)
    _, other = put(tmp_path, "other", certificates.server(authority, "here", ["localhost"]))
    empty, text, broken = tmp_path / "empty", tmp_path / "text", tmp_path / "broken"
    empty.write_text("")
    text.write_text("the secret\n")
    broken.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    for path in (empty, text, broken):
        path.chmod(0o400)
    for wrong, why in (
        ((certificate, other), "key values mismatch"),
        ((certificate, str(tmp_path / "none")), "none: cannot be read: No such file"),
        ((certificate, str(empty)), "empty: is empty"),
        ((certificate, str(text)), "text: is not in PEM"),
        ((str(text), key), "text: is not in PEM"),
        ((certificate, str(broken)), "broken: "),
    ):
        with pytest.raises(KeyProblem, match=why) as problem:
            server_context(*wrong, "")
        assert "secret" not in str(problem.value)
        assert "c2Vj" not in str(problem.value)
    for path in (text, empty, tmp_path / "none"):
        with pytest.raises(KeyProblem, match=path.name):
            client_context(str(path), "", "")


def test_a_locked_key_is_not_asked_for_its_password(tmp_path: Path, server: Pair) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, path = put(tmp_path, "server", server)
    key = serialization.load_pem_private_key(server.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    Path(path).chmod(0o600)
    Path(path).write_bytes(locked)
    with pytest.raises(KeyProblem, match="a password protects it"):
        server_context(certificate, path, "")
