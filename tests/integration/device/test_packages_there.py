"""Packages that a companion does not serve: one is no reason against the others, and calls are told the reason."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from collab_sdk import CompanionUnavailable, wire
from collab_sdk.errors import (
    CollabError,
    InvalidPackage,
    PermissionRefused,
    StorageUnavailable,
    Unauthorised,
    UnknownPackage,
)
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.config import FailoverSettings, LinkSettings
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.companions.watcher import Watcher
from collabd.lifecycle import background
from tests.device_parts import companion_at
from tests.integration.device.conftest import Bench, Factory
from tests.integration.device.test_watching import OPEN_S, Fickle, running, url_of, usable
from tests.patience import comes_true


class Picky(Fickle):
    """The companion has one package and answers pushes of others with `verdict`; None: it takes them."""

    def __init__(self, package: Package, verdict: CollabError | None = None) -> None:
        super().__init__(package)
        self.verdict = verdict
        # Of everything.
        self.refusal: CollabError | None = None
        self.pushed: list[str] = []
        self.receives = asyncio.Event()
        self.receives.set()

    def app(self) -> web.Application:
        app = super().app()
        app.add_routes([web.put("/collab/v1/packages/{digest}", self.receive)])
        return app

    async def ping(self, request: web.Request) -> web.Response:
        return await super().ping(request) if self.refusal is None else refused(self.refusal)

    async def profile(self, request: web.Request) -> web.Response:
        if request.match_info["digest"] != self.package.digest:
            return refused(UnknownPackage("no package with this digest"))
        return await super().profile(request)

    async def receive(self, request: web.Request) -> web.Response:
        await request.read()
        self.pushed.append(request.match_info["digest"])
        await self.receives.wait()
        return web.Response(status=201) if self.verdict is None else refused(self.verdict)


class Unread(Picky):
    """It does not look at what is pushed."""

    async def receive(self, request: web.Request) -> web.Response:  # noqa: ARG002
        await self.receives.wait()
        assert self.verdict is not None
        return refused(self.verdict)


def refused(error: CollabError) -> web.Response:
    return web.Response(body=wire.encode_error(error), status=error.http_status)


@asynccontextmanager
async def serving(picky: Fickle) -> AsyncIterator[str]:
    async with running(picky) as runner:
        yield url_of(runner)


@asynccontextmanager
async def watched(url: str, packages: Callable[[], list[Package]]) -> AsyncIterator[Companion]:
    async with Connections(Dialler()) as connections:
        companion = companion_at(url, connections, FailoverSettings(breaker_open_s=OPEN_S))
        async with background("watching", Watcher(companion, LinkSettings(), packages).run):
            yield companion


async def test_a_package_that_cannot_be_read_keeps_no_other_from_the_companion(
    tiny_package: Package, other_package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    picky, away = Picky(tiny_package), other_package.path.with_name("away")
    shutil.move(other_package.path, away)
    async with serving(picky) as url, watched(url, lambda: [other_package, tiny_package]) as companion:
        await comes_true(lambda: usable(companion, tiny_package))
        await comes_true(lambda: "the device cannot send it: " in companion.why_not(other_package.digest))
        assert "No such file" in companion.why_not(other_package.digest)
        # Its companion comes and goes all the same.
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        assert not usable(companion, tiny_package)
        await comes_true(lambda: usable(companion, tiny_package))
        assert "starts again" not in caplog.text
        # And the package is tried again.
        shutil.move(away, other_package.path)
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        await comes_true(lambda: picky.pushed == [other_package.digest])


async def test_what_is_known_of_a_package_is_forgotten_with_it(tiny_package: Package, other_package: Package) -> None:
    picky, ours = Picky(tiny_package, InvalidPackage("no")), [other_package, tiny_package]
    async with serving(picky) as url, watched(url, lambda: ours) as companion:
        await comes_true(lambda: usable(companion, tiny_package))
        assert list(companion.lacks) == [other_package.digest]
        ours.clear()
        await comes_true(lambda: not companion.profiles and not companion.lacks)


REFUSALS: dict[str, CollabError] = {
    "the graph has an If": InvalidPackage("the graph has an If"),
    "takes no packages": PermissionRefused("this companion takes no packages"),
    "make room": StorageUnavailable("packages cannot be kept here: make room"),
}


@asynccontextmanager
async def told(bench: Factory, url: str, reason: str, prices: str = "") -> AsyncIterator[Bench]:
    """A device whose calls are told this reason for being alone."""
    async with bench(cloud=url, prices=prices) as it:
        (companion,) = it.daemon._plane.generation.companions
        await comes_true(lambda: reason in companion.why_not(it.package.digest))
        result = await it.client.infer(it.images[0], cut="image")
        assert reason in result.why
        assert set(result.ran) == {"D"}
        with pytest.raises(CompanionUnavailable, match=re.escape(reason)):
            await it.client.infer(it.images[0], cut="image", fallback="fail")
        yield it


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_companion_that_refused_a_package_is_not_down(
    bench: Factory, other_package: Package, reason: str
) -> None:
    async with (
        serving(Picky(other_package, REFUSALS[reason])) as url,
        told(bench, url, f"pc refused the package: {REFUSALS[reason]}") as it,
    ):
        (cloud,) = (await it.client.status())["clouds"]
        assert cloud["state"] == "up"
        assert cloud["lacks"] == {it.package.digest: f"refused the package: {REFUSALS[reason]}"}


async def test_one_that_may_not_be_sent_it(bench: Factory, other_package: Package) -> None:
    reason = "pc lacks the package, and push_packages = false forbids to send it"
    async with serving(Picky(other_package)) as url, told(bench, url, reason, "push_packages = false"):
        pass


async def test_one_that_is_not_done_measuring_it(bench: Factory, tiny_package: Package) -> None:
    picky = Picky(tiny_package)
    picky.holds = False
    async with serving(picky) as url, told(bench, url, "pc is still measuring the package"):
        pass


async def test_one_that_refuses_the_key(bench: Factory, tiny_package: Package) -> None:
    picky = Picky(tiny_package)
    picky.refusal = Unauthorised("no valid key")
    reason = "pc is down: the companion refused the key of this device: no valid key"
    async with serving(picky) as url, told(bench, url, reason):
        pass


async def test_one_that_is_not_there(bench: Factory) -> None:
    async with told(bench, "http://127.0.0.1:1", "pc is down: pc at http://127.0.0.1:1: "):
        pass


async def test_one_that_has_not_answered_yet(bench: Factory, tiny_package: Package) -> None:
    picky = Picky(tiny_package)
    picky.answers.clear()
    async with serving(picky) as url, told(bench, url, "pc has not answered yet"):
        pass


async def test_none_at_all(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        result = await it.client.infer(it.images[0], cut="image")
        assert result.why == "no companion is configured"


async def test_a_profile_that_cannot_be_costs_its_package_alone(tiny_package: Package, other_package: Package) -> None:
    """The companion answers for the other package with the profile of this one."""
    picky = Fickle(tiny_package)
    async with serving(picky) as url, watched(url, lambda: [other_package, tiny_package]) as companion:
        await comes_true(lambda: usable(companion, tiny_package))
        assert companion.is_up()
        assert companion.why_not(other_package.digest) == (
            "pc cannot serve the package: pc sent the profile of another package"
        )


async def test_it_is_said_how_much_of_a_package_has_been_sent(tiny_package: Package, tmp_path: Path) -> None:
    model = (tiny_package.path / packages.MODEL).read_bytes()
    manifest = msgspec.structs.replace(tiny_package.manifest, name="large")
    large = packages.write(tmp_path / "large", manifest, model=model, licence="free " * 220_000)
    picky = Unread(tiny_package, InvalidPackage("no"))
    picky.receives.clear()
    async with serving(picky) as url, watched(url, lambda: [large]) as companion:
        await comes_true(lambda: companion.why_not(large.digest).endswith("is sending (1.1 of 1.1 MB)"))
        assert companion.awaits(large.digest)
        picky.receives.set()
        await comes_true(lambda: "refused the package" in companion.why_not(large.digest))
        assert not companion.awaits(large.digest)


async def test_a_push_that_never_ends_keeps_nobody_from_the_companion(
    tiny_package: Package, other_package: Package
) -> None:
    picky = Picky(tiny_package)
    picky.receives.clear()
    async with serving(picky) as url, watched(url, lambda: [other_package, tiny_package]) as companion:
        await comes_true(lambda: bool(picky.pushed) and usable(companion, tiny_package))
        assert companion.why_not(other_package.digest) == "pc lacks the package, which the device is sending"
        companion.note_failure(CompanionFailure(FailureReason.DEAD, "refused"))
        assert not usable(companion, tiny_package)
        await comes_true(lambda: usable(companion, tiny_package))
        assert len(picky.pushed) == 1
