"""A companion at another address than the configured one: real certificates and TLS, a made-up announcement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collab_sdk import wire
from collabd.ctl.pair import certificates
from collabd.ctl.pair.certificates import Pair
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.http_exchange import HttpExchange
from collabd.device.companions.whereabouts import Whereabouts
from collabd.discovery.announcement import Announcement
from collabd.http.checksums import checksum
from collabd.keys.identity import authorities_in, authority_of
from collabd.keys.tls import client_context, server_context

# Nobody has this name (RFC 6761).
HOME = "pc.invalid"


class Heard:
    """One announcement."""

    def __init__(self, announcement: Announcement) -> None:
        self._announcement = announcement

    async def heard(self) -> list[Announcement]:
        return [self._announcement]


@asynccontextmanager
async def companion(folder: Path, own: Pair, asked: list[str]) -> AsyncIterator[Announcement]:
    """One that says nothing but `found`, with this certificate; what it announces."""
    for name, content in (("crt", own.certificate), ("key", own.key)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o400)

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        headers = {wire.CHECKSUM: await checksum(b"found"), wire.REQUEST_CHECKSUM: await checksum()}
        return web.Response(body=b"found", headers=headers)

    app = web.Application()
    app.router.add_get("/", answer)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=server_context(str(folder / "crt"), str(folder / "key"), ""))
    assert server.port is not None
    try:
        yield Announcement(
            name="pc",
            addresses=("127.0.0.1",),
            port=server.port,
            version="0.1.0",
            secured=True,
            authority=authority_of(own.certificate),
        )
    finally:
        await server.close()


@asynccontextmanager
async def device(folder: Path, issuer: Pair, said: Announcement) -> AsyncIterator[tuple[Whereabouts, HttpExchange]]:
    """One that trusts this authority, and heard this."""
    (folder / "ca").write_bytes(issuer.certificate)
    dial = Dialler(tls=client_context(str(folder / "ca"), "", ""))

    @asynccontextmanager
    async def listen() -> AsyncIterator[Heard]:
        yield Heard(said)

    async with Connections(dial) as connections:
        exchange = HttpExchange("pc", f"https://{HOME}:8470", connections, headers={"Authorization": "Bearer secret"})
        whereabouts = Whereabouts(
            "pc",
            exchange.place,
            authorities_in(issuer.certificate),
            dial=dial,
            listen=listen,
            networks=lambda: (ip_network("127.0.0.0/8"),),
            answers_s=0.0,
        )
        try:
            yield whereabouts, exchange
        finally:
            await whereabouts.rest()


async def test_it_is_asked_where_it_was_found_though_its_certificate_does_not_name_the_address(tmp_path: Path) -> None:
    issuer, asked = certificates.authority("pc"), list[str]()
    own = certificates.server(issuer, "pc", [HOME])
    async with companion(tmp_path, own, asked) as said, device(tmp_path, issuer, said) as (whereabouts, exchange):
        assert await whereabouts.look()
        assert asked == [], "it is not asked before it is known to be the companion"
        assert (await exchange.call("GET", "/")).body == b"found"
        assert whereabouts.found_at == said.urls[0]
    assert asked == ["Bearer secret"]


@pytest.mark.parametrize("host", [HOME, "127.0.0.1"])
async def test_who_claims_the_authority_without_its_certificate_gets_no_key(tmp_path: Path, host: str) -> None:
    issuer, asked = certificates.authority("pc"), list[str]()
    own = certificates.server(certificates.authority("pc"), "pc", [host])
    claimed = authority_of(certificates.server(issuer, "pc", [HOME]).certificate)
    async with companion(tmp_path, own, asked) as said:
        forged = Announcement(
            name="pc", addresses=said.addresses, port=said.port, version="0.1.0", secured=True, authority=claimed
        )
        async with device(tmp_path, issuer, forged) as (whereabouts, _):
            assert not await whereabouts.look()
            assert whereabouts.found_at is None
    assert asked == []


async def test_another_machine_of_the_same_authority_is_not_the_companion(tmp_path: Path) -> None:
    """Its certificate is for its own host, not for the one that the configuration names."""
    issuer, asked = certificates.authority("pc"), list[str]()
    own = certificates.server(issuer, "other", ["127.0.0.1"])
    async with companion(tmp_path, own, asked) as said, device(tmp_path, issuer, said) as (whereabouts, _):
        assert not await whereabouts.look()
    assert asked == []
