"""Keys from `collabctl pair` to an answer over TLS, and the ways in which a companion refuses."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from collab_sdk import AsyncClient, CompanionUnavailable
from collabd.cloud.server import running
from collabd.config import ConfigError
from collabd.ctl.pair import certificates
from collabd.keys import tls
from collabd.keys.files import KeyProblem
from collabd.keys.tokens import new_token
from tests.integration.trust.conftest import Machines, is_of_use, until

EVERYWHERE = "0.0.0.0"  # noqa: S104


async def assert_split(client: AsyncClient, image: np.ndarray) -> None:
    await until(client, is_of_use)
    result = await client.infer(image, cut="image", fallback="fail")
    assert set(result.ran) == {"C"}
    assert not result.degraded


async def assert_alone(client: AsyncClient, image: np.ndarray, why: str) -> None:
    """The device says why it works alone, and does."""
    cloud = await until(client, lambda cloud: cloud["state"] == "down")
    assert cloud["problem"] is not None
    assert why in cloud["problem"]
    result = await client.infer(image, cut="image")
    assert set(result.ran) == {"D"}


@pytest.mark.parametrize("options", [(), ("--mutual",)], ids=["token and TLS", "mutual TLS"])
async def test_a_paired_device_is_served_over_tls(
    machines: Machines, options: tuple[str, ...], tiny_images: list[np.ndarray]
) -> None:
    machines.pair(*options)
    async with machines.cloud() as cloud:
        assert cloud.address.startswith(f"https://{EVERYWHERE}")
        async with machines.device_at(local(cloud.address)) as (client, _):
            await assert_split(client, tiny_images[0])


async def test_a_wrong_token_is_refused_and_the_device_says_how_to_mend_it(
    machines: Machines, tiny_images: list[np.ndarray]
) -> None:
    machines.pair()
    replace(machines.device / "keys/collabd/pc/token", new_token().encode())
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
        await assert_alone(client, tiny_images[0], "the companion refused the key of this device")
        await assert_alone(client, tiny_images[0], "sudo collabctl pair new")


async def test_without_a_token_a_device_is_refused(machines: Machines, tiny_images: list[np.ndarray]) -> None:
    machines.pair()
    path = machines.device / "collabd.toml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "token_file" not in line))
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
        await assert_alone(client, tiny_images[0], "the companion refused the key of this device")


async def test_a_revoked_device_is_refused_at_its_next_request_and_another_is_not(machines: Machines) -> None:
    machines.pair()
    machines.pair(device="pi-2", add=("--name", "other"))
    headers = [
        {"Authorization": f"Bearer {(machines.device / 'keys/collabd' / name / 'token').read_text().strip()}"}
        for name in ("pc", "other")
    ]
    trusted = ssl.create_default_context(cafile=machines.device / "keys/collabd/pc/ca.crt")
    connector = aiohttp.TCPConnector(ssl=trusted, limit=1)
    async with machines.cloud() as cloud, aiohttp.ClientSession(connector=connector) as http:

        async def statuses() -> list[int]:
            """Over one connection, which outlives the key that it came with."""
            replies = [await http.get(f"{local(cloud.address)}/v2", headers=each) for each in headers]
            assert all([await reply.read() for reply in replies])
            return [reply.status for reply in replies]

        assert await statuses() == [200, 200]
        assert machines.ctl("remove", "pi").exit_code == 0
        assert machines.ctl("list").output == "pi-2\n"
        cloud.guard.renew()
        assert await statuses() == [401, 200]


async def test_a_new_token_works_after_a_reload(machines: Machines, tiny_images: list[np.ndarray]) -> None:
    machines.pair()
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, daemon):
        await assert_split(client, tiny_images[0])
        machines.pair("--replace", add=("--replace",))
        cloud.guard.renew()
        with pytest.raises(CompanionUnavailable, match="the companion refused the key of this device"):
            await client.infer(tiny_images[0], cut="image", fallback="fail")
        await daemon.reconfigure(machines.device_settings(local(cloud.address)))
        await assert_split(client, tiny_images[0])


async def test_a_companion_of_another_authority_is_not_talked_to(
    machines: Machines, tiny_images: list[np.ndarray]
) -> None:
    machines.pair()
    replace(machines.device / "keys/collabd/pc/ca.crt", certificates.authority("somebody else").certificate)
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
        await assert_alone(client, tiny_images[0], "certificate verify failed")


async def test_a_certificate_for_another_host_is_not_accepted(
    machines: Machines, tiny_images: list[np.ndarray]
) -> None:
    machines.pair()
    keys = machines.companion / "keys/collab-cloudd"
    issuer = certificates.Pair((keys / "ca.crt").read_bytes(), (keys / "ca.key").read_bytes())
    made = certificates.server(issuer, "elsewhere", ["192.0.2.7"])
    replace(keys / "server.crt", made.certificate)
    replace(keys / "server.key", made.key)
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
        await assert_alone(client, tiny_images[0], "IP address mismatch")


async def test_a_certificate_that_expires_is_refused_by_the_device(
    machines: Machines, tiny_images: list[np.ndarray]
) -> None:
    machines.pair()
    keys = machines.companion / "keys/collab-cloudd"
    issuer = certificates.Pair((keys / "ca.crt").read_bytes(), (keys / "ca.key").read_bytes())
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=366 * 10)
    made = certificates.server(issuer, "here", ["127.0.0.1"], now=lambda: long_ago)
    async with machines.cloud() as cloud:
        replace(keys / "server.key", made.key)
        replace(keys / "server.crt", made.certificate)
        with pytest.raises(ConfigError, match="certificate has expired"):
            machines.cloud_settings()
        # As if the one of the companion expired while it ran.
        assert cloud.guard.tls is not None
        tls.present(cloud.guard.tls, str(keys / "server.crt"), str(keys / "server.key"))
        async with machines.device_at(local(cloud.address)) as (client, _):
            await assert_alone(client, tiny_images[0], "certificate has expired")


async def test_mutual_tls_takes_no_device_without_a_certificate(
    machines: Machines, tiny_images: list[np.ndarray]
) -> None:
    machines.pair("--mutual")
    path = machines.device / "collabd.toml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "client_" not in line))
    async with machines.cloud() as cloud, machines.device_at(local(cloud.address)) as (client, _):
        await until(client, lambda cloud: cloud["state"] == "down" and cloud["problem"] is not None)
        assert set((await client.infer(tiny_images[0], cut="image")).ran) == {"D"}


async def test_mutual_tls_takes_no_certificate_of_another_authority_nor_one_made_for_a_server(
    machines: Machines,
) -> None:
    machines.pair("--mutual")
    keys = machines.companion / "keys/collab-cloudd"
    theirs = certificates.client(certificates.authority("somebody else"), "pi")
    token = (machines.device / "keys/collabd/pc/token").read_text().strip()
    async with machines.cloud() as cloud:
        for certificate, key in (
            (theirs.certificate, theirs.key),
            ((keys / "server.crt").read_bytes(), (keys / "server.key").read_bytes()),
        ):
            context = ssl.create_default_context(cafile=keys / "ca.crt")
            replace(machines.device / "client.crt", certificate)
            replace(machines.device / "client.key", key)
            context.load_cert_chain(machines.device / "client.crt", machines.device / "client.key")
            assert await asked(cloud.address, context, token) == b""


async def asked(address: str, context: ssl.SSLContext, token: str) -> bytes:
    """What comes back for a request; nothing where the handshake is refused (which TLS 1.3 tells after it)."""
    port = int(address.rsplit(":", 1)[1])
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(f"GET /v2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        reply = await reader.read(100)
        writer.close()
    except (ssl.SSLError, ConnectionError):
        return b""
    return reply


async def test_a_stale_certificate_is_renewed_at_a_reload(machines: Machines, tiny_images: list[np.ndarray]) -> None:
    machines.pair()
    keys = machines.companion / "keys/collab-cloudd"
    token = (machines.device / "keys/collabd/pc/token").read_text().strip()
    async with machines.cloud() as cloud:
        context = ssl.create_default_context(cafile=keys / "ca.crt")
        context.check_hostname = False
        port = int(cloud.address.rsplit(":", 1)[1])

        async def names() -> set[str]:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            certificate = writer.get_extra_info("peercert")
            writer.close()
            return {value for _, value in certificate["subjectAltName"]}

        assert "pc.example" not in await names()
        assert (
            machines.ctl("new", "pi-2", "--host", "pc.example", "--out", str(machines.companion / "x")).exit_code == 0
        )
        cloud.guard.renew()
        assert {"pc.example", "127.0.0.1"} <= await names()
        assert (await asked(cloud.address, context, token)).startswith(b"HTTP/1.1 200")


async def test_nobody_listens_for_others_without_keys(machines: Machines) -> None:
    path = machines.companion / "collab-cloudd.toml"
    path.write_text(path.read_text() + f'host = "{EVERYWHERE}"\n')
    with pytest.raises(ConfigError, match="collabctl pair new"):
        machines.cloud_settings()
    path.write_text(path.read_text() + "insecure = true\n")
    async with machines.cloud() as cloud:
        assert cloud.address.startswith(f"http://{EVERYWHERE}")


async def test_the_daemon_itself_refuses_too(machines: Machines) -> None:
    machines.pair()
    settings = machines.cloud_settings()
    (machines.companion / "keys/collab-cloudd/tokens").unlink()
    with pytest.raises(KeyProblem, match="tokens: cannot be read"):
        async with running(settings):
            pass


def local(address: str) -> str:
    return address.replace(EVERYWHERE, "127.0.0.1")


def replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o400)
