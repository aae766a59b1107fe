"""The keys for companions: unsafe settings are refused, and no key is ever shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collabd.config import CloudSettings, DeviceConfig, Source
from collabd.ctl.pair import certificates
from collabd.device.companions.credentials import problems, read_keys
from collabd.keys.tokens import new_token


@pytest.fixture
def token(tmp_path: Path) -> str:
    made = new_token()
    (tmp_path / "token").write_text(made)
    (tmp_path / "token").chmod(0o400)
    return made


def said(folder: Path, **settings: object) -> list[str]:
    return problems(DeviceConfig(clouds=(CloudSettings(name="pc", token_file=str(folder / "token"), **settings),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["https://192.168.1.10:8470", "http://127.0.0.1:8470", "http://[::1]:1", "http://localhost"]
)
def test_a_token_goes_over_tls_or_stays_here(tmp_path: Path, token: str, url: str) -> None:
    assert said(tmp_path, url=url) == []


@pytest.mark.parametrize(
    "url", ["http://192.168.1.10:8470", "http://pc", "http://localhost.example.org", "http://127.0.0.1.nip.io"]
)
def test_a_token_in_the_clear_is_refused(tmp_path: Path, token: str, url: str) -> None:
    (problem,) = said(tmp_path, url=url)
    assert problem.startswith("clouds[0].token_file: anyone on the way")
    assert said(tmp_path, url=url, insecure=True) == []


def test_what_does_not_fit_together_is_told(tmp_path: Path, token: str) -> None:
    assert said(tmp_path, url="https://pc", client_cert="x") == [
        "clouds[0].client_cert: client_cert and client_key need each other"
    ]
    found = said(tmp_path, url="http://localhost", ca_file=str(tmp_path / "none"))
    assert found[0] == "clouds[0].ca_file: needs an https url"
    assert found[1].startswith(f"{tmp_path}/none: cannot be read")


def test_who_is_to_be_followed_has_to_be_recognised(tmp_path: Path, token: str) -> None:
    ca = tmp_path / "ca"
    ca.write_bytes(certificates.authority("pc").certificate)
    assert said(tmp_path, url="https://pc", ca_file=str(ca), follow=True) == []
    for url in ("https://pc", "http://localhost"):
        (problem,) = said(tmp_path, url=url, follow=True)
        assert problem.startswith("clouds[0].follow: needs an https url and ca_file")
    ca.write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    (problem,) = said(tmp_path, url="https://pc", ca_file=str(ca), follow=True)
    assert problem.startswith(f"{ca}: holds no certificate")


def test_no_key_is_shown(tmp_path: Path, token: str) -> None:
    path = tmp_path / "collabd.toml"
    path.write_text('[[clouds]]\nname = "pc"\nurl = "https://pc"\ntoken_file = "token"\n')
    loaded = Source(DeviceConfig, path, path, problems=problems).load()
    keys = read_keys(loaded.config.clouds[0])
    assert dict(keys.headers) == {"Authorization": f"Bearer {token}"}
    for shown in (repr(keys), repr(loaded), json.dumps(loaded.report())):
        assert token not in shown
    assert loaded.report()["clouds[0].token_file"]["value"] == str(tmp_path / "token")


def test_other_keys_are_other_settings(tmp_path: Path, token: str) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(certificates.authority("one").certificate)
    cloud = CloudSettings(name="pc", url="https://pc", token_file=str(tmp_path / "token"), ca_file=str(ca))
    first = read_keys(cloud)
    assert (read_keys(cloud), hash(read_keys(cloud))) == (first, hash(first))
    ca.write_bytes(certificates.authority("two").certificate)
    second = read_keys(cloud)
    assert second != first
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "token").write_text(new_token())
    assert read_keys(cloud) != second


def test_systemds_credentials_come_first(tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials, path = tmp_path / "credentials", tmp_path / "etc/collabd.toml"
    credentials.mkdir()
    path.parent.mkdir()
    path.write_text('[[clouds]]\nname = "pc"\nurl = "https://pc"\ntoken_file = "token"\n')
    (tmp_path / "token").rename(path.parent / "token")
    source = Source(DeviceConfig, path, path, problems=problems)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert source.load().config.clouds[0].token_file == str(path.parent / "token")
    (credentials / "token").write_text(new_token())
    (credentials / "token").chmod(0o440)
    assert source.load().config.clouds[0].token_file == str(credentials / "token")
