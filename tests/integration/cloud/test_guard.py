"""A companion with keys, as somebody without one meets it."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import Unauthorised
from collabd.cloud.api.guard import Guard
from collabd.cloud.api.key_watch import key_files, renew_at_change
from collabd.cloud.api.remote_peers import RemotePeerLimits
from collabd.config import CloudServerSettings
from collabd.ctl.pair import certificates
from collabd.file_changes import FileChanges
from collabd.keys.tokens import line, new_token
from tests.integration.cloud.conftest import Companion
from tests.patience import PATIENCE_S, PROGRAM_S
from tests.said import Said

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


@pytest.mark.parametrize("accept", ["Accept: */*", "X-Odd: yes"], ids=["plain", "by aiohttp"])
async def test_a_request_in_one_piece_needs_the_key_too_and_is_sealed(guarded: Companion, accept: str) -> None:
    body = wire.encode_request(wire.InferRequest([wire.Tensor.from_array("image", np.zeros((1, 16, 16, 3), np.uint8))]))
    host, port = guarded.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def ask(token: str) -> tuple[int, dict[str, str], bytes]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
        writer.write(
            f"POST /v2/models/branchy/infer HTTP/1.1\r\nHost: x\r\n{accept}\r\n{lines}"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body.body())}\r\n\r\n".encode()
            + body.body()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))

    async with asyncio.timeout(PROGRAM_S):
        for turn in range(2):
            status, headers, answer = await ask(TOKEN)
            assert (status, turn) == (200, turn)
            assert headers[wire.CHECKSUM.lower()] == wire.checksum(answer)
            assert headers[wire.REQUEST_CHECKSUM.lower()] == wire.checksum(body.body())
            assert wire.RECEIVE_MS.lower() in headers
        status, headers, answer = await ask(new_token())
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert headers[wire.CHECKSUM.lower()] == wire.checksum(answer)
    assert guarded.cloud.counters.answers == 2
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
    start: Callable[..., Any], tokens: str, tls: dict[str, str]
) -> None:
    async with start(server={"token_file": tokens} | tls, limits=RemotePeerLimits(handshake_s=0.2)) as companion:
        port = int(companion.address.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


@contextmanager
def daemon_of(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Said]]:
    """A companion whose list is `tokens` in this folder, and what it says; it may not be ready yet."""
    config = folder / "collab-cloudd.toml"
    config.write_text(
        f'state_dir = "{folder}/state"\n[models]\nroots = ["{folder}/models"]\n'
        f'[server]\nport = 0\ntoken_file = "tokens"\n'
    )
    command = [sys.executable, "-m", "collabd.cloud", "--verbose", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            yield daemon, Said(daemon.stderr)
        finally:
            daemon.kill()


def replace(tokens: str, token: str) -> None:
    replacement = Path(tokens).with_name("new")
    replacement.write_text(line("pi", token))
    replacement.chmod(0o400)
    replacement.rename(tokens)


def test_the_daemon_reads_its_list_anew_at_a_hangup_and_tells_nobody_of_it(tmp_path: Path, tokens: str) -> None:
    other = new_token()
    with daemon_of(tmp_path) as (daemon, said):
        address = said.until(r"listening on (http://\S+)")[1]
        assert status(address, TOKEN) == 200
        assert TOKEN not in Path(f"/proc/{daemon.pid}/cmdline").read_text()
        replace(tokens, other)
        daemon.send_signal(signal.SIGHUP)
        said.until("is in force")
        assert (status(address, TOKEN), status(address, other)) == (401, 200)
        # A list that cannot be read leaves the old one in force.
        Path(tokens).unlink()
        daemon.send_signal(signal.SIGHUP)
        said.until("stays in force")
        assert status(address, other) == 200
        daemon.terminate()
        said.to_the_end()
    assert TOKEN not in said.text
    assert other not in said.text


async def test_a_list_that_changes_is_in_force_without_a_hangup(tokens: str) -> None:
    """As on a file system that several companions share. A list that is out of form leaves the old one in force."""
    other, renewed = new_token(), asyncio.Event()
    server = CloudServerSettings(token_file=tokens)
    guard = Guard(server)

    def renew() -> None:
        try:
            guard.renew()
        finally:
            renewed.set()

    async def known(changed: Callable[[], object]) -> tuple[bool, bool]:
        renewed.clear()
        changed()
        async with asyncio.timeout(PATIENCE_S):
            await renewed.wait()
        found = [guard.device(f"Bearer {token}", None)[0] for token in (TOKEN, other)]
        return found[0], found[1]

    watch = asyncio.create_task(renew_at_change(FileChanges(key_files(server), every_s=0.01), renew))
    try:
        assert await known(lambda: replace(tokens, other)) == (False, True)
        assert await known(Path(tokens).unlink) == (False, True)
        assert await known(lambda: replace(tokens, TOKEN)) == (True, False)
        assert await known(lambda: Path(tokens).chmod(0o444)) == (True, False)
        assert await known(lambda: replace(tokens, other)) == (False, True)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def test_a_hangup_while_the_daemon_starts_counts(tmp_path: Path, tokens: str) -> None:
    """Its list has been read by then, and the daemon cannot read it again before it is ready."""
    other = new_token()
    with daemon_of(tmp_path) as (daemon, said):
        said.until("start: load the models")
        replace(tokens, other)
        daemon.send_signal(signal.SIGHUP)
        said.until("is in force")
        address = said.until(r"listening on (http://\S+)")[1]
        assert (status(address, TOKEN), status(address, other)) == (401, 200)


def status(address: str, token: str) -> int:
    import requests

    return requests.get(f"{address}/v2", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S).status_code


@pytest.mark.parametrize("check", [(), ("--check",)], ids=["start", "check"])
def test_the_daemon_does_not_listen_for_others_without_keys(tmp_path: Path, check: tuple[str, ...]) -> None:
    config = tmp_path / "collab-cloudd.toml"
    config.write_text('[server]\nport = 0\nhost = "0.0.0.0"\n')
    done = subprocess.run(
        [sys.executable, "-m", "collabd.cloud", *check, "--config", config],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert done.returncode == 78
    assert "without a token and TLS: make the keys with sudo collabctl pair new DEVICE" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_refusal_is_in_the_wire_form() -> None:
    body = wire.encode_error(Unauthorised("no"))
    assert json.loads(body) == {"error": "no", "code": "unauthorised", "details": {}}
