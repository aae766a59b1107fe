"""The files that pair a device with a companion, and the settings that pairing changes."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import click

from collabd.ctl.pair.carried import Carried, decode
from collabd.ctl.pair.settings import changed
from collabd.keys.files import KeyProblem
from collabd.keys.tls import client_context
from collabd.keys.tokens import line, read_token, read_tokens
from tests.fuzz.edges import config
from tests.fuzz.scratch import new_directory

TOKEN = "x" * 43
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIUG8OOuJtTmgkKKvyRAzDJlKvyUNUwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCcGMwIBcNMjYxMTI0MTc1OTMzWhgPMjEyNjEwMzExNzU5MzNa
MA0xCzAJBgNVBAMMAnBjMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMGGUz/gC
H7KNZj/PQGopeOrX3nS79gRozpH8nfUpR8FiCoW0jNaz68zRP1EuSYEFFLIzMpdc
4O1i5kvl1XXUeKNTMFEwHQYDVR0OBBYEFINEYEXYDXK9nQFQrEvMj79vJK7oMB8G
A1UdIwQYMBaAFINEYEXYDXK9nQFQrEvMj79vJK7oMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSAAwRQIgIh1sguzU70DcBQh/Xo7jytxE0sP3xLV64Vuwyt38
Ya0CIQDV7LuIBf/5znDw1tCvingFQYSDpf6hgZuJzGQIRnu4QA==
-----END CERTIFICATE-----
"""
WORDS = (
    *("device", "name", "url", "token", "sha256:", "[[clouds]]", "[server]", "collabd_pair"),
    "-----BEGIN CERTIFICATE-----",
)


@cache
def _file() -> Path:
    path = new_directory("keys") / "key"
    path.touch(0o600)
    return path


def check(data: bytes) -> None:
    """Each reader refuses with its own error, in which nothing of a key appears, or gives what can be used."""
    (_carried, _tokens, _token, _authority, _settings)[(data[:1] or b"\0")[0] % 5](data[1:])


def _carried(data: bytes) -> None:
    try:
        carried = decode(data)
    except ValueError:
        return
    assert decode(carried.encode()) == carried


def _tokens(data: bytes) -> None:
    _file().write_bytes(data)
    try:
        tokens = read_tokens(str(_file()))
    except KeyProblem:
        return
    assert tokens.device(f"Bearer {data.decode('latin-1')}") is None
    assert tokens.device("") is None


def _token(data: bytes) -> None:
    _file().write_bytes(data)
    try:
        token = read_token(str(_file()))
    except KeyProblem as problem:
        secret = data.decode(errors="replace").strip()
        assert len(secret) < 8 or secret not in str(problem)  # noqa: PT017  it is the other half of the promise
        return
    assert len(token) >= 32
    assert token.isascii()
    assert not {" ", "\n", "\r"} & {*token}


def _authority(data: bytes) -> None:
    _file().write_bytes(data)
    try:
        client_context(str(_file()), "", "")
    except KeyProblem:
        return


def _settings(data: bytes) -> None:
    try:
        text = data.decode()
        before = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    values: dict[str, str | bool] = {"name": "pc", "url": "https://pc:8470", "token_file": "pc/token"}
    clouds = before.get("clouds", [])
    try:
        after = tomllib.loads(changed(text, "[[clouds]]", values, index=len(clouds) if isinstance(clouds, list) else 0))
    except click.ClickException:
        return
    assert {key: value for key, value in after.items() if key != "clouds"} == {
        key: value for key, value in before.items() if key != "clouds"
    }
    assert after["clouds"][:-1] == clouds
    assert after["clouds"][-1] == values


def seeds() -> list[bytes]:
    """What `collabctl pair` writes."""
    carried = Carried(device="pi", name="pc", url="https://pc:8470", token=TOKEN, ca=CERTIFICATE)
    files = (
        carried.encode(),
        (line("pi", TOKEN) + "# old\n" + line("pi2", TOKEN)).encode(),
        TOKEN.encode(),
        CERTIFICATE.encode(),
    )
    clouds = b'[[clouds]]\nname = "a"  # first\nurl = "http://a"\n#token_file = ""\n[link]\nmemory = 0.5\n'
    return [bytes([index]) + each for index, each in enumerate((*files, clouds))] + [b"\4" + config.seeds()[0]]
