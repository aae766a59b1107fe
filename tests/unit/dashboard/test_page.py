"""By which names a page without keys may be asked for."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from collabd.dashboard import DashboardPage, Viewed
from collabd.http.error_replies import error_middleware


async def status_by(host: str, *, keys: bool) -> int:
    """The status of the answer to whoever asks for the page by this name."""
    page = DashboardPage(Viewed("collabd", keys=keys))

    async def shown(request: web.Request) -> web.Response:
        page.check_name(request)
        return web.Response()

    app = web.Application(middlewares=[error_middleware])
    app.add_routes([web.get("/", shown)])
    async with (
        TestServer(app, host="127.0.0.1") as server,
        ClientSession() as session,
        session.get(server.make_url("/"), headers={"Host": host}) as reply,
    ):
        return reply.status


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.2:81", "[::1]:8080"])
async def test_a_machines_own_names_are_answered(host: str) -> None:
    assert await status_by(host, keys=False) == 200


@pytest.mark.parametrize(
    "host", ["rebound.example", "localhost.rebound.example:80", "192.0.2.1", "[::2]", "a]b", "127.1"]
)
async def test_a_name_that_somebody_else_gave_this_machine_is_refused(host: str) -> None:
    assert await status_by(host, keys=False) == 403


async def test_with_keys_any_name_will_do() -> None:
    """The browser keeps a key for the name under which it was given, and no other page knows it."""
    assert await status_by("pi.example", keys=True) == 200
