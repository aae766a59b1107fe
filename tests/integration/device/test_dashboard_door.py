"""The dashboard of the device: what it tells, and to whom."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collabd.dashboard.page import DashboardPage, Viewed
from collabd.keys.tokens import line, new_token
from tests.integration.device.conftest import Factory
from tests.integration.device.door_parts import AtDoor, at_door, photo
from tests.patience import PATIENCE_S


async def got(at: AtDoor, path: str, **headers: str) -> tuple[int, Any]:
    async with at.session.get(f"{at.url}{path}", headers=headers) as reply:
        return reply.status, await reply.json()


async def test_it_tells_what_the_socket_tells_and_can_change_nothing(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "dashboard") as at:
        for _ in range(3):
            await at.found(photo())
        status, said = await got(at, "/collab/v1/status")
        assert (status, said["requests"]["total"]) == (200, 3)
        assert {model["name"] for model in said["models"]} == {"tiny", "finder", "ground", "mixer"}
        status, said = await got(at, "/collab/v1/explain?last=2")
        assert [decision["model"] for decision in said["decisions"]] == ["finder"] * 2
        status, said = await got(at, "/collab/v1/models/finder")
        assert said["layers"][0]["inputs"] == [-1]
        assert (await got(at, "/collab/v1/models/nobody"))[0] == 404
        assert (await got(at, "/collab/v1/explain?last=none"))[0] == 400
        (report,) = await at.bench.client.doors()
        assert (report["kind"], report["calls"], report["failed"]) == ("dashboard", 5, 0)
        tried = {
            "POST": ["/v2/models/finder/infer", "/collab/v1/models", "/collab/v1/status", "/dashboard/"],
            "DELETE": ["/collab/v1/models/finder"],
            "GET": ["/collab/v1/config", "/collab/v1/profile/finder", "/metrics", "/dashboard/../../collabd.toml"],
        }
        for method, paths in tried.items():
            for path in paths:
                async with at.session.request(method, f"{at.url}{path}") as reply:
                    assert reply.status in {404, 405}, (method, path)


async def test_the_page_is_for_everybody_and_what_it_shows_takes_a_key(bench: Factory, tmp_path: Path) -> None:
    token, tokens = new_token(), tmp_path / "door.tokens"
    tokens.write_text(line("ada", token))
    tokens.chmod(0o400)
    async with at_door(bench, tmp_path, "dashboard", token_file=str(tokens)) as at:
        for path in DashboardPage(Viewed("collabd", keys=True)).paths:
            async with at.session.get(f"{at.url}{path}") as reply:
                assert reply.status == 200, path
                assert token.encode() not in await reply.read()
        assert (await got(at, "/dashboard/about.json"))[1] == {"daemon": "collabd", "keys": True}
        for path in ("status", "explain", "models/finder", "pictures", "pictures/1", "nothing"):
            for presented in ("", token, f"Bearer {new_token()}", f"Basic {token}"):
                assert (await got(at, f"/collab/v1/{path}", Authorization=presented))[0] == 401, path
        key = {"Authorization": f"Bearer {token}"}
        assert (await got(at, "/collab/v1/status", **key))[0] == 200
        # By any name: browsers keep the key for the one under which it was given.
        assert (await got(at, "/collab/v1/status", Host="pi.example", **key))[0] == 200
        (report,) = await at.bench.client.doors()
        assert (report["calls"], report["keys"]) == (2, True)


async def test_browsers_are_bound_and_no_page_from_elsewhere_reads_along(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "dashboard") as at:
        for path in ("/dashboard/", "/dashboard/main.js", "/collab/v1/status", "/collab/v1/nothing", "/nothing"):
            async with at.session.get(f"{at.url}{path}", headers={"Origin": "https://elsewhere.example"}) as reply:
                policy = reply.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert reply.headers["Referrer-Policy"] == "no-referrer"
                assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert "Set-Cookie" not in reply.headers
                assert not any(name.startswith("Access-Control") for name in reply.headers)
        async with at.session.get(f"{at.url}/", allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"]) == (308, "dashboard/")
        # DNS rebinding: a name of elsewhere leads to this machine, and no key is in the way.
        for path in ("/dashboard/", "/dashboard/about.json", "/collab/v1/status", "/"):
            assert (await got(at, path, Host="rebound.example"))[0] == 403


async def test_no_picture_is_kept_unless_that_is_switched_on(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "dashboard") as at:
        assert at.bench.daemon.machinery.shown is None
        await at.found(photo())
        assert (await got(at, "/collab/v1/pictures"))[1] == {"shown": False, "pictures": []}
        assert (await got(at, "/collab/v1/pictures/1"))[0] == 404


async def test_pictures_come_with_their_boxes_while_somebody_looks(bench: Factory, tmp_path: Path) -> None:
    async with at_door(bench, tmp_path, "dashboard", pictures=True) as at:
        assert (await got(at, "/collab/v1/pictures"))[1] == {"shown": True, "pictures": []}
        found = await at.found(photo(700, 1000))
        async with asyncio.timeout(PATIENCE_S):
            while not (pictures := (await got(at, "/collab/v1/pictures"))[1]["pictures"]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (picture,) = pictures
        assert (picture["model"], picture["width"], picture["height"]) == ("finder", 1000, 700)
        assert [box["label"] for box in picture["boxes"]] == list(found.class_name)
        assert picture["boxes"][0]["x2"] == pytest.approx(found[0].xyxy[2] / 1000, abs=1e-5)
        async with at.session.get(f"{at.url}/collab/v1/pictures/{picture['id']}") as reply:
            assert reply.content_type == "image/jpeg"
            assert max(Image.open(io.BytesIO(await reply.read())).size) == 320
