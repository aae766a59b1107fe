"""`collabctl pair`: what it writes, refuses, and never overwrites. tests/integration/trust shows that the keys work."""

from __future__ import annotations

import json
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collabd.ctl.__main__ import main
from collabd.discovery.machine import machine_name, own_addresses
from collabd.keys.identity import hosts_of

Pair = Callable[..., Result]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """`collabctl pair ...` on a machine that is both, with the shipped configuration."""
    etc = Path(__file__).parents[3] / "etc"
    for name in ("collabd.toml", "collab-cloudd.toml"):
        (tmp_path / name).write_text((etc / name).read_text())

    def run(*words: str, data: bytes | None = None) -> Result:
        config = tmp_path / ("collabd.toml" if words[0] == "add" else "collab-cloudd.toml")
        given = ["--out", str(tmp_path / "pi.pair")] if words[0] == "new" and "--out" not in words else []
        return CliRunner().invoke(main, ["pair", *words, "--config", str(config), *given], input=data)

    return run


def settings(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_modes_and_settings(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "collab-cloudd.toml").chmod(0o640)
    assert pair("new", "pi", "--name", "pc", "--host", "192.0.2.1").exit_code == 0
    assert settings(tmp_path / "collab-cloudd.toml") == {
        "server": {
            "host": "0.0.0.0",  # noqa: S104
            "token_file": "keys/collab-cloudd/tokens",
            "tls_cert": "keys/collab-cloudd/server.crt",
            "tls_key": "keys/collab-cloudd/server.key",
        },
        "models": {},
        "engine": {},
        "batching": {},
        "packages": {},
    }
    assert (tmp_path / "collab-cloudd.toml").stat().st_mode & 0o777 == 0o640
    assert pair("add", str(tmp_path / "pi.pair")).exit_code == 0
    (cloud,) = settings(tmp_path / "collabd.toml")["clouds"]
    assert cloud == {
        "name": "pc",
        "url": "https://192.0.2.1:8470",
        "token_file": "keys/collabd/pc/token",
        "ca_file": "keys/collabd/pc/ca.crt",
    }
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes["pi.pair"] == "0o600"
    assert {modes[name] for name in ("tokens", "token", "ca.key", "server.key")} == {"0o400"}
    assert not list(tmp_path.rglob(".*")), "scratch files"


def test_no_key_is_printed_unless_the_file_is_asked_for(pair: Pair, tmp_path: Path) -> None:
    said = pair("new", "pi", "--host", "h").output
    token = json.loads((tmp_path / "pi.pair").read_bytes())["token"]
    assert len(token) >= 43
    said += pair("add", str(tmp_path / "pi.pair")).output + pair("list").output + pair("remove", "pi").output
    assert token not in said
    assert "PRIVATE" not in said


def test_a_name_that_is_taken_needs_replace(pair: Pair, tmp_path: Path) -> None:
    for words in (("new", "pi", "--host", "h"), ("add", str(tmp_path / "pi.pair"))):
        assert pair(*words).exit_code == 0
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        refused = pair(*words)
        assert (refused.exit_code, "--replace" in refused.output) == (1, True)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    old = (tmp_path / "keys/collabd").glob("*/token")
    content = {path: path.read_bytes() for path in old}
    assert pair("new", "pi", "--host", "h", "--replace").exit_code == 0
    assert pair("add", str(tmp_path / "pi.pair"), "--replace").exit_code == 0
    assert content != {path: path.read_bytes() for path in content}
    assert len((tmp_path / "keys/collab-cloudd/tokens").read_text().splitlines()) == 1


def test_it_can_be_piped(pair: Pair, tmp_path: Path) -> None:
    made = pair("new", "pi", "--host", "h", "--name", "pc", "--out", "-")
    assert pair("add", "-", "--name", "attic", data=made.stdout_bytes).exit_code == 0
    assert (tmp_path / "keys/collabd/attic/token").exists()
    assert not (tmp_path / "pi.pair").exists()


def test_the_authority_stays_and_the_certificate_learns_new_names(pair: Pair, tmp_path: Path) -> None:
    keys = tmp_path / "keys/collab-cloudd"
    assert pair("new", "pi", "--host", "pc.lan", "--host", "2001:db8::1").exit_code == 0
    first, authority = (keys / "server.crt").read_bytes(), (keys / "ca.crt").read_bytes()
    assert pair("new", "pi-2", "--host", "pc.lan").exit_code == 0
    assert (keys / "server.crt").read_bytes() == first
    assert pair("new", "pi-3", "--host", "192.0.2.9").exit_code == 0
    assert {"pc.lan", "2001:db8::1", "192.0.2.9", "localhost"} <= hosts_of((keys / "server.crt").read_bytes())
    assert (keys / "ca.crt").read_bytes() == authority


def test_mutual_stays_mutual_and_says_who_is_left_out(pair: Pair, tmp_path: Path) -> None:
    assert pair("new", "old", "--host", "h").exit_code == 0
    said = pair("new", "pi", "--host", "h", "--mutual").stderr
    assert "until you pair them again: old" in said
    assert pair("new", "pi-2", "--host", "h").exit_code == 0
    assert json.loads((tmp_path / "pi.pair").read_bytes())["client_key"]


def test_certificates_of_others_are_left_alone(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "collab-cloudd.toml"
    path.write_text('[server]\nhost = "::"\ntls_cert = "/etc/ssl/mine.crt"\ntls_key = "/etc/ssl/mine.key"\n')
    assert pair("new", "pi", "--host", "pc.example").exit_code == 0
    assert [each.name for each in (tmp_path / "keys/collab-cloudd").iterdir()] == ["tokens"]
    assert 'tls_cert = "/etc/ssl/mine.crt"' in path.read_text()
    assert 'host = "::"' in path.read_text()
    assert json.loads((tmp_path / "pi.pair").read_bytes())["ca"] == ""
    assert pair("new", "pi-2", "--host", "h", "--mutual").exit_code == 1


def test_a_broken_configuration_is_told_before_anything_is_made(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "collab-cloudd.toml"
    path.write_text("[server]\nprot = 1\n")
    refused = pair("new", "pi", "--host", "h")
    assert (refused.exit_code, "server.prot" in refused.output) == (1, True)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"collabd_pair": 1, "device": "pi", "name": "../../etc", "url": "https://h", "token": "x"}',
        b'{"collabd_pair": 1, "device": "pi", "name": "pc", "url": "https://h\\u001b[2J", "token": "x"}',
        b'{"collabd_pair": 1, "device": "pi", "name": "pc", "url": "https://h\\n", "token": "x"}',
        b'{"collabd_pair": 1, "device": "pi", "name": "pc\\n", "url": "https://h", "token": "x"}',
    ],
)
def test_what_is_no_pair_file_is_refused_without_its_content(pair: Pair, tmp_path: Path, content: bytes) -> None:
    refused = pair("add", "-", data=content)
    assert (refused.exit_code, refused.stderr) == (1, "collabctl: -: collabctl pair new did not write this file\n")
    assert not (tmp_path / "keys").exists()


def test_the_last_device_can_be_removed_and_a_first_one_come_again(pair: Pair, tmp_path: Path) -> None:
    assert pair("new", "pi", "--host", "h").exit_code == 0
    assert pair("remove", "pi-2").exit_code == 1
    assert pair("remove", "pi").exit_code == 0
    assert pair("list").output == ""
    assert pair("new", "pi", "--host", "h").exit_code == 0
    assert pair("list").output == "pi\n"


def test_a_companion_that_announces_itself_is_followed_by_who_is_paired_then(pair: Pair, tmp_path: Path) -> None:
    def followed() -> object:
        (cloud,) = settings(tmp_path / "collabd.toml")["clouds"]
        return cloud.get("follow")

    assert pair("new", "pi", "--host", "h", "--name", "pc").exit_code == 0
    assert pair("add", str(tmp_path / "pi.pair")).exit_code == 0
    assert followed() is None
    assert pair("new", "pi", "--host", "h", "--name", "pc", "--announce", "--replace").exit_code == 0
    assert settings(tmp_path / "collab-cloudd.toml")["server"]["announce"] is True
    said = pair("add", str(tmp_path / "pi.pair"), "--replace").output
    assert "at https://h:8470, or where it announces itself" in said
    assert followed() is True
    # What the companion's configuration says holds for the next device too.
    assert pair("new", "pi-2", "--host", "h", "--name", "pc").exit_code == 0
    assert json.loads((tmp_path / "pi.pair").read_bytes())["announced"] is True
    path = tmp_path / "collab-cloudd.toml"
    path.write_text(path.read_text().replace("announce = true", "announce = false"))
    assert pair("new", "pi-3", "--host", "h", "--name", "pc").exit_code == 0
    assert pair("add", str(tmp_path / "pi.pair"), "--replace").exit_code == 0
    assert followed() is False


def test_a_certificate_is_for_all_names_and_addresses_of_the_machine(pair: Pair, tmp_path: Path) -> None:
    assert pair("new", "pi", "--host", "h").exit_code == 0
    hosts = hosts_of((tmp_path / "keys/collab-cloudd/server.crt").read_bytes())
    machine = machine_name()
    assert hosts == {"h", machine, f"{machine}.local", "localhost", "127.0.0.1", "::1", *own_addresses()}


def test_a_certificate_is_renewed_where_it_lacks_something_and_devices_need_nothing_new(
    pair: Pair, tmp_path: Path
) -> None:
    refused = pair("renew")
    assert (refused.exit_code, "did not make the certificate" in refused.output) == (1, True)
    assert pair("new", "pi", "--host", "h").exit_code == 0
    keys = tmp_path / "keys/collab-cloudd"
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert "is good for all names and addresses" in pair("renew").output
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before
    said = pair("renew", "--host", "192.0.2.9").output
    assert "renewed the certificate, now also for 192.0.2.9\n" in said
    assert "send SIGHUP to collab-cloudd" in said
    changed = {path.name for path in keys.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"server.crt", "server.key"}
    assert hosts_of((keys / "server.crt").read_bytes()) == hosts_of(before["server.crt"]) | {"192.0.2.9"}


@pytest.mark.parametrize("name", ["", "../pi", "a b", "-x", "pi\n"])
def test_names_are_names(pair: Pair, name: str) -> None:
    assert pair("new", "--host", "h", "--", name).exit_code == 2


def test_without_a_host_it_is_the_address_that_others_see(pair: Pair, tmp_path: Path) -> None:
    done = pair("new", "pi")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            assert "--host" in done.output
            return
        seen = probe.getsockname()[0]
    assert json.loads((tmp_path / "pi.pair").read_bytes())["url"] == f"https://{seen}:8470"


def test_a_configuration_that_is_a_link_stays_one(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "collab-cloudd.toml"
    (tmp_path / "real").mkdir()
    path.rename(tmp_path / "real/file.toml")
    path.symlink_to("real/file.toml")
    assert pair("new", "pi", "--host", "h").exit_code == 0
    assert path.readlink() == Path("real/file.toml")
    assert "tls_cert" in (tmp_path / "real/file.toml").read_text()
    assert [each.name for each in (tmp_path / "real").iterdir()] == ["file.toml"]
