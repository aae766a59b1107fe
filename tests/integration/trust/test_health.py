"""The health check of a container, against a companion without keys, with TLS, and with mutual TLS."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest

from collabd.cloud.health import why_not
from collabd.config import CloudServerSettings
from tests.integration.trust.conftest import Machines


def at_port(machines: Machines, address: str) -> CloudServerSettings:
    """The companion's settings, with the port that it got."""
    port = int(address.rsplit(":", 1)[1])
    return msgspec.structs.replace(machines.cloud_settings().config.server, port=port)


@pytest.mark.parametrize("keys", [None, (), ("--mutual",)], ids=["no keys", "TLS", "mutual TLS"])
async def test_a_companion_that_is_ready_is_healthy(machines: Machines, keys: tuple[str, ...] | None) -> None:
    if keys is not None:
        machines.pair(*keys)
    async with machines.cloud() as cloud:
        server = at_port(machines, cloud.address)
        assert await asyncio.to_thread(why_not, server) == ""
    assert "Connection refused" in await asyncio.to_thread(why_not, server)


async def test_who_answers_otherwise_is_not_healthy() -> None:
    async def loading(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(loading, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "status 503" in await asyncio.to_thread(why_not, CloudServerSettings(port=port))
        tls = CloudServerSettings(port=port, tls_cert="server.crt")
        assert "ssl" in (await asyncio.to_thread(why_not, tls)).lower()


def test_who_listens_and_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in why_not(CloudServerSettings(port=silent.getsockname()[1]))
