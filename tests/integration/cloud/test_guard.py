"""A companion with keys, as somebody without one meets it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from collab_sdk import wire
from collab_sdk.errors import Unauthorised
from collabd.cloud import server
from collabd.ctl.pair import certificates
from collabd.keys.tokens import line, new_token
from tests.integration.cloud.conftest import Companion

TOKEN = new_token()


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    path = tmp_path / "tokens"
    path.write_text(line("pi", TOKEN))
    path.chmod(0o400)
    return str(path)


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    made = certificates.server(certificates.authority("here"), "here", ["127.0.0.1"])
    for name, content in (("server.crt", made.certificate), ("server.key", made.key)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    return {"tls_cert": str(tmp_path / "server.crt"), "tls_key": str(tmp_path / "server.key")}


@pytest.fixture
async def guarded(start: Callable[..., Any], package: Any, tokens: str) -> AsyncIterator[Companion]:
    """It holds the package "branchy", and a key is needed."""
    async with start(package.path.parent, server={"token_file": tokens}) as companion:
        yield companion


PATHS = [
    ("GET", "/v2"),
    ("GET", "/v2/models/branchy"),
    ("GET", "/v2/models/no-such"),
    ("POST", "/v2/models/branchy/infer"),
    ("GET", "/v2/repository/index"),
    ("GET", "/metrics"),
    ("POST", "/collab/v1/ping"),
    ("GET", f"/collab/v1/profile/sha256:{'0' * 64}"),
    ("PUT", f"/collab/v1/packages/sha256:{'0' * 64}"),
    ("GET", "/no/such/path"),
    ("DELETE", "/v2"),
    ("POST", "/v2/health/live"),
    ("GET", "/v2/health/live/"),
    ("GET", "/v2/health//live"),
]


@pytest.mark.parametrize(("method", "path"), PATHS, ids=lambda part: part)
async def test_without_a_key_every_path_looks_the_same(guarded: Companion, method: str, path: str) -> None:
    async with guarded.http.request(method, guarded.address + path) as reply:
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert isinstance(wire.decode_error(reply.status, await reply.read()), Unauthorised)
        assert await reply.json() == await (await guarded.http.get(f"{guarded.address}/x")).json()


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", f"Bearer {new_token()}", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", TOKEN],
    ids=["nothing", "no token", "another token", "another scheme", "a token cut short", "a token alone"],
)
async def test_a_wrong_key_is_no_key(guarded: Companion, header: str) -> None:
    async with guarded.http.get(f"{guarded.address}/v2", headers={"Authorization": header}) as reply:
        assert reply.status == 401
        assert TOKEN not in await reply.text()


async def test_with_the_key_all_is_as_without_a_guard(guarded: Companion) -> None:
    key = {"Authorization": f"Bearer {TOKEN}"}
    for path, status in (("/v2", 200), ("/metrics", 200), ("/no/such/path", 404)):
        async with guarded.http.get(guarded.address + path, headers=key) as reply:
            assert reply.status == status


async def test_whether_it_lives_is_told_to_everyone(guarded: Companion) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert (await guarded.call("GET", path))[0] == 200


async def raw(address: str, request: str) -> bytes:
    """The first that comes back, of a request whose body never comes."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    try:
        return await reader.readline()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "path", ["/v2/models/branchy/infer", f"/collab/v1/packages/sha256:{'0' * 64}", "/no/such/path"]
)
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"], ids=["sends", "asks first"])
async def test_a_body_is_not_waited_for(guarded: Companion, path: str, expect: str) -> None:
    request = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 64000000\r\n{expect}\r\n"
    assert await raw(guarded.address, request) == b"HTTP/1.1 401 Unauthorized\r\n"


async def test_plain_http_to_a_tls_port_gets_nothing_and_harms_nobody(
    start: Callable[..., Any], tokens: str, tls: dict[str, str]
) -> None:
    async with start(server={"token_file": tokens} | tls) as companion:
        plain = companion.address.replace("https", "http")
        with pytest.raises(aiohttp.ClientError):
            await companion.http.get(f"{plain}/v2/health/live")
        async with companion.http.get(f"{companion.address}/v2/health/live", ssl=False) as reply:
            assert reply.status == 200


async def test_tls_to_a_plain_port_gets_nothing_and_harms_nobody(guarded: Companion) -> None:
    with pytest.raises(aiohttp.ClientError):
        await guarded.http.get(f"{guarded.address.replace('http', 'https')}/v2/health/live", ssl=False)
    assert (await guarded.call("GET", "/v2/health/live"))[0] == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("version", "works"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_tls_older_than_1_2_is_refused(
    start: Callable[..., Any], tokens: str, tls: dict[str, str], version: str, works: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    async with start(server={"token_file": tokens} | tls) as companion:
        url = f"{companion.address}/v2/health/live"
        if works:
            assert (await companion.http.get(url, ssl=context)).status == 200
        else:
            with pytest.raises(aiohttp.ClientConnectorError):
                await companion.http.get(url, ssl=context)


async def test_who_stalls_in_the_handshake_is_hung_up_on(
    start: Callable[..., Any], tokens: str, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_HANDSHAKE_S", 0.2)
    async with start(server={"token_file": tokens} | tls) as companion:
        port = int(companion.address.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


def test_the_daemon_reads_its_list_anew_at_a_hangup_and_tells_nobody_of_it(tmp_path: Path, tokens: str) -> None:
    config = tmp_path / "collab-cloudd.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\n[models]\nroots = ["{tmp_path}/models"]\n'
        f'[server]\nport = 0\ntoken_file = "tokens"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "collabd.cloud", "--verbose", "--config", config], stderr=subprocess.PIPE, text=True
    ) as daemon:
        try:
            assert daemon.stderr is not None
            said = ""
            while not (found := re.search(r"listening on (http://\S+)", said)):
                said += next(daemon.stderr)
            assert status(found[1], TOKEN) == 200
            assert TOKEN not in Path(f"/proc/{daemon.pid}/cmdline").read_text()
            other = new_token()
            replacement = tmp_path / "new"
            replacement.write_text(line("pi", other))
            replacement.chmod(0o400)
            replacement.rename(tokens)
            daemon.send_signal(signal.SIGHUP)
            while "is in force" not in said:
                said += next(daemon.stderr)
            assert (status(found[1], TOKEN), status(found[1], other)) == (401, 200)
            # A list that cannot be read leaves the old one in force.
            Path(tokens).unlink()
            daemon.send_signal(signal.SIGHUP)
            while "stays in force" not in said:
                said += next(daemon.stderr)
            assert status(found[1], other) == 200
            daemon.terminate()
            said += daemon.stderr.read()
        finally:
            daemon.kill()
    assert TOKEN not in said
    assert other not in said


def status(address: str, token: str) -> int:
    import requests

    return requests.get(f"{address}/v2", headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code


@pytest.mark.parametrize("check", [(), ("--check",)], ids=["start", "check"])
def test_the_daemon_does_not_listen_for_others_without_keys(tmp_path: Path, check: tuple[str, ...]) -> None:
    config = tmp_path / "collab-cloudd.toml"
    config.write_text('[server]\nport = 0\nhost = "0.0.0.0"\n')
    done = subprocess.run(
        [sys.executable, "-m", "collabd.cloud", *check, "--config", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "without a token and TLS: make the keys with sudo collabctl pair new DEVICE" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_refusal_is_in_the_wire_form() -> None:
    body = wire.encode_error(Unauthorised("no"))
    assert json.loads(body) == {"error": "no", "code": "unauthorised", "details": {}}
