"""The dashboard of the companion, at the port at which it answers devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collabd.dashboard import DashboardPage, Viewed
from collabd.keys.tokens import line, new_token

PATHS = sorted(DashboardPage(Viewed("collab-cloudd", keys=False)).paths)


async def test_it_is_off_unless_switched_on(start: Callable[..., Any], package: Any) -> None:
    async with start(package.path.parent) as companion:
        for path in PATHS:
            assert (await companion.call("GET", path))[0] == 404


async def test_it_shows_the_status_and_binds_browsers(start: Callable[..., Any], package: Any) -> None:
    async with start(package.path.parent, server={"dashboard": True}) as companion:
        for path in [*PATHS, "/collab/v1/status"]:
            async with companion.http.get(f"{companion.address}{path}") as reply:
                assert reply.status == 200
                assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert "Set-Cookie" not in reply.headers
        # What devices ask for is as it was.
        async with companion.http.get(f"{companion.address}/collab/v1/packages") as reply:
            assert "Content-Security-Policy" not in reply.headers


async def test_what_it_shows_takes_a_key(start: Callable[..., Any], package: Any, tmp_path: Path) -> None:
    token, tokens = new_token(), tmp_path / "tokens"
    tokens.write_text(line("pi", token))
    tokens.chmod(0o400)
    async with start(package.path.parent, server={"dashboard": True, "token_file": str(tokens)}) as companion:
        for path in PATHS:
            assert (await companion.call("GET", path))[0] == 200
            assert (await companion.call("POST", path))[0] == 401
        assert (await companion.call("GET", "/collab/v1/status"))[0] == 401
        key = {"Authorization": f"Bearer {token}", "Host": "pc.example"}
        async with companion.http.get(f"{companion.address}/collab/v1/status", headers=key) as reply:
            assert reply.status == 200


@pytest.mark.parametrize("path", ["/dashboard/", "/collab/v1/status"])
async def test_a_page_from_elsewhere_does_not_read_along_by_another_name(
    start: Callable[..., Any], package: Any, path: str
) -> None:
    async with start(package.path.parent, server={"dashboard": True}) as companion:
        elsewhere = {"Host": "rebound.example"}
        async with companion.http.get(f"{companion.address}{path}", headers=elsewhere) as reply:
            assert reply.status == 403
        # Devices may well have a name of their own for their companion.
        async with companion.http.get(f"{companion.address}/collab/v1/packages", headers=elsewhere) as reply:
            assert reply.status == 200
