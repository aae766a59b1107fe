"""The dashboard in a browser, of daemons that really run: what a person sees there, and what a page cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, Loaded
from collabd.dashboard import DashboardPage, Viewed
from collabd.keys.tokens import line, new_token
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.dashboard.browser import Browser, browsing
from tests.integration.device.conftest import Bench, Factory
from tests.integration.device.door_parts import at_door, photo

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as it:
        it.resize(1280, 800)
        yield it


@pytest.fixture(autouse=True)
def quiet(browser: Browser) -> None:
    """What came before is no matter of this test."""
    browser.open("about:blank")
    browser.complaints()


@asynccontextmanager
async def shown(bench: Factory, **settings: Any) -> AsyncIterator[tuple[Bench, str]]:
    """Both daemons, and the address of the page of the device."""
    listen = f"127.0.0.1:{unused_port()}"
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    async with bench(f'[[doors]]\nkind = "dashboard"\nlisten = "{listen}"\n{lines}') as it:
        yield it, f"http://{listen}/dashboard/"


async def test_it_shows_what_the_daemon_does_until_the_companion_is_gone(browser: Browser, bench: Factory) -> None:
    async with shown(bench) as (it, url):
        for image in it.images[:4]:
            await it.client.infer(image, stream="front-door")

        def look() -> None:
            browser.open(url)
            assert "front-door" in browser.until("#streams h3", "tiny")
            assert "4" in browser.until("#streams dl", "Calls")
            assert "up" in browser.until("#companions .badge", "up")
            assert "pc" in browser.text("#companions")
            browser.until("#decisions summary", "tiny")
            browser.until("#state", "live")
            label = browser.find("#streams svg").get_attribute("aria-label") or ""
            assert label.startswith(f"A network of {len(it.package.manifest.layers)} layers."), label
            assert len(browser.driver.find_elements("css selector", "#now canvas")) == 4
            browser.find("#decisions summary").click()
            assert "predicted" in browser.until("#decisions table", "why")
            browser.find("#streams summary").click()
            browser.until("#streams table", "relu1")
            assert browser.complaints() == []

        await asyncio.to_thread(look)
        await it.stop_cloud()
        await asyncio.to_thread(browser.until, "#companions .badge", "down")
        await asyncio.to_thread(browser.until, "#health", "companion-lost")
        await asyncio.to_thread(browser.until, "#said", "companion-lost")


async def test_a_key_is_asked_for_refused_kept_and_forgotten(browser: Browser, bench: Factory, tmp_path: Path) -> None:
    token, tokens = new_token(), tmp_path / "door.tokens"
    tokens.write_text(line("ada", token))
    tokens.chmod(0o400)

    def look(url: str) -> None:
        browser.open(url)
        browser.until("#ask", "A key, please")
        assert not browser.find("#shown").is_displayed()
        # As somebody does who has no mouse: the field has the focus.
        field = browser.driver.switch_to.active_element
        field.send_keys(new_token(), "\n")
        browser.until("#refused", "not accepted")
        # The browser says that it was refused, and nothing else.
        assert all("401" in complaint for complaint in browser.complaints())
        browser.driver.switch_to.active_element.send_keys(token, "\n")
        browser.until("#state", "live")
        assert browser.driver.get_cookies() == []
        assert token not in browser.driver.page_source
        assert token not in browser.driver.current_url
        browser.driver.refresh()
        browser.until("#state", "live")
        assert browser.complaints() == []
        browser.find("#forget").click()
        browser.until("#ask", "A key, please")
        assert browser.run("return sessionStorage.length") == 0

    async with shown(bench, token_file=tokens) as (_, url):
        await asyncio.to_thread(look, url)


async def test_pictures_are_there_only_where_they_are_switched_on(
    browser: Browser, bench: Factory, tmp_path: Path
) -> None:
    async with at_door(bench, tmp_path, "dashboard", pictures=True) as at:
        await asyncio.to_thread(browser.open, f"{at.url}/dashboard/")
        await asyncio.to_thread(browser.until, "#state", "live")
        await asyncio.to_thread(browser.until, "#pictures-note", "None has come")
        found = await at.found(photo())
        await asyncio.to_thread(browser.until, "#pictures", "finder")
        said = await asyncio.to_thread(
            browser.run, "return document.querySelector('#pictures canvas').getAttribute('aria-label')"
        )
        assert found[0].class_name in said
        drawn = "const it = document.querySelector('#pictures canvas'); return it.width"
        assert await asyncio.to_thread(browser.run, drawn) in {200, 300}
        assert await asyncio.to_thread(browser.complaints) == []


async def test_the_companion_shows_what_it_holds(browser: Browser, tmp_path: Path, tiny_package: Any) -> None:
    config = CloudConfig(
        server=CloudServerSettings(port=0, dashboard=True),
        models=CloudModelSettings(roots=(str(tmp_path / "pushed"), str(tiny_package.path.parent))),
        state_dir=str(tmp_path / "state"),
    )

    def look(address: str) -> None:
        browser.open(f"{address}/dashboard/")
        browser.until("#packages table", "tiny")
        assert browser.text("h1") == "collab-cloudd"
        assert "Answers" in browser.text("#engine")
        assert not browser.find("#streams").is_displayed()
        assert browser.complaints() == []

    async with running_cloud(Loaded(config, None), machine=SHOWS_NOTHING) as cloud:
        await asyncio.to_thread(look, cloud.address)


def hostile(value: Any) -> Any:
    """The same report with markup for each of its texts, and for the names of what it counts."""
    if isinstance(value, dict):
        return {key: hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return MARKUP if isinstance(value, str) else value


async def test_names_with_markup_stay_text(browser: Browser, bench: Factory) -> None:
    """A daemon that says markup wherever it says a text."""
    async with shown(bench) as (it, _):
        await it.client.infer(it.images[0], stream="front-door")
        reporter = it.daemon._plane.generation.reporter
        box = {"label": "cup", "score": 0.9, "x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}
        picture = {
            "id": 1,
            "age_s": 1.0,
            "model": "",
            "stream": "",
            "answer": "",
            "width": 9,
            "height": 9,
            "boxes": [box],
        }
        condition = {
            "code": "", "about": "", "severity": "error", "what": "", "do": "", "since_s": 1.0, "behind": None,
        }  # fmt: skip
        status = hostile({**reporter.status(), "health": [condition]})
        for cloud in status["clouds"]:
            cloud |= {"problem": MARKUP, "found_at": MARKUP, "lacks": {MARKUP: MARKUP}}
        for stream in status["streams"]:
            stream["kinds"] = {MARKUP: 1}
        said = {
            "status": status,
            "explain": hostile(reporter.explain(1)),
            "pictures": hostile({"shown": True, "pictures": [picture]}),
            "models/{model}": hostile(reporter.layers(it.package)),
        }
    app, page = web.Application(), DashboardPage(Viewed("collabd", keys=False))

    def answering(report: Any) -> Any:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(report)

        return answer

    app.add_routes([*page.routes(), *(web.get(f"/collab/v1/{path}", answering(each)) for path, each in said.items())])

    def look(url: str) -> None:
        browser.open(url)
        for place in ("#health", "#streams", "#companions", "#decisions", "#pictures"):
            browser.until("#state", "live")
            browser.until(place, MARKUP)
        browser.find("#decisions summary").click()
        browser.find("#streams summary").click()
        browser.until("#decisions table", MARKUP)
        browser.until("#streams table", MARKUP)
        assert browser.run("return document.images.length + document.querySelectorAll('[onerror]').length") == 0
        # The picture itself is not there.
        assert all("pictures/1" in complaint for complaint in browser.complaints())

    async with TestServer(app) as server:
        await asyncio.to_thread(look, str(server.make_url("/dashboard/")))


async def test_it_fits_a_phone_and_goes_by_keyboard(browser: Browser, bench: Factory) -> None:
    reached = """
        const seen = document.activeElement;
        return [seen.tagName, seen.id, getComputedStyle(seen).outlineStyle];
    """

    def look(url: str) -> None:
        browser.resize(390, 844, phone=True)
        try:
            browser.open(url)
            browser.until("#state", "live")
            browser.until("#decisions summary", "tiny")
            browser.run("window.scrollTo(0, 0)")
            assert browser.run("return document.documentElement.scrollWidth") == 390
            focused: list[tuple[str, str, str]] = []
            while not focused or focused[-1][0] != "BODY":
                browser.driver.switch_to.active_element.send_keys("\t")
                focused.append(tuple(browser.run(reached)))
                assert len(focused) < 50, focused
        finally:
            browser.resize(1280, 800)
        # From the link past the header through the layers to the decisions, and out of the page.
        assert [tag for tag, *_ in focused] == ["A", "SUMMARY", "SUMMARY", "BODY"], focused
        assert all(outline == "solid" for tag, _, outline in focused if tag != "BODY")
        assert browser.complaints() == []

    async with shown(bench) as (it, url):
        await it.client.infer(it.images[0], stream="front-door")
        await asyncio.to_thread(look, url)
