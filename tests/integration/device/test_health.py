"""Conditions of real daemons, which come and go: a companion that is killed and comes back, a door that cannot open."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from collab_sdk.reports import ConditionReport
from collab_sdk.vocabulary import Provider
from collabd.catalog.package.package import Package
from collabd.cloud.server import CloudDaemon
from collabd.cloud.server import running as running_cloud
from collabd.config import CloudConfig, CloudModelSettings, CloudServerSettings, Loaded
from collabd.device.journal import COMPANION_LOST, COMPANION_REGAINED
from collabd.engine import why_missing
from collabd.health.telling import HEALTH_CLEARED, HEALTH_RAISED
from collabd.health.watch import HealthPace
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.integration.device.conftest import Bench, Factory, until_up
from tests.integration.device.test_oip_door import door
from tests.patience import PATIENCE_S

# Conditions last twenty times as short.
HASTY = HealthPace(often_s=0.05, clock=lambda: 20 * time.monotonic())
ABOUT_IT = ("companion-lost", "link-stale")
RECOVERS_SOON = "[failover]\nbreaker_open_s = 0.2\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def until_there_are(it: Bench, count: int, *codes: str) -> list[ConditionReport]:
    """So many conditions of these codes, while calls come. A busy machine may have others."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        await it.client.infer(it.images[0])
        health = [each for each in (await it.client.status())["health"] if each["code"] in codes]
        if len(health) == count:
            return health
        assert time.monotonic() < deadline, health
        await asyncio.sleep(0.05)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [getattr(record, "journal_fields", {}) for record in caplog.records]
    return [(each["MESSAGE_ID"], each.get("COLLABD_CODE", "")) for each in found if "MESSAGE_ID" in each]


async def test_a_companion_that_is_killed_is_told_of_until_it_is_back(
    bench: Factory, tmp_path: Path, tiny_package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()

    async def companion(stack: AsyncExitStack) -> CloudDaemon:
        roots = (str(tmp_path / "cloud"), str(tiny_package.path.parent))
        server, models = CloudServerSettings(port=port), CloudModelSettings(roots=roots)
        config = CloudConfig(server=server, models=models, state_dir=str(tmp_path / "cloud-state"))
        return await stack.enter_async_context(running_cloud(Loaded(config, None), machine=SHOWS_NOTHING))

    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await companion(first)
        async with bench(RECOVERS_SOON, cloud=f"http://127.0.0.1:{port}", health=HASTY) as it:
            await until_up(it)
            await until_there_are(it, 0, *ABOUT_IT)
            await first.aclose()
            lost, stale = await until_there_are(it, 2, *ABOUT_IT)
            assert (lost["code"], lost["about"], lost["severity"], lost["behind"]) == (
                "companion-lost",
                "pc",
                "warning",
                None,
            )
            assert lost["what"].startswith("the device works without pc: ")
            assert (stale["code"], stale["about"], stale["behind"]) == ("link-stale", "pc", "companion-lost")
            metrics = it.daemon._metrics().decode()
            assert 'collabd_health{about="pc",code="companion-lost",severity="warning"} 1.0' in metrics
            assert 'code="link-stale"' not in metrics
            await companion(second)
            await until_there_are(it, 0, *ABOUT_IT)
            assert 'code="companion-lost"' not in it.daemon._metrics().decode()
    # The events of old say it, and nothing says it twice.
    assert {COMPANION_LOST, COMPANION_REGAINED} <= {event for event, _ in told(caplog)}
    assert not {code for _, code in told(caplog)} & set(ABOUT_IT)


@pytest.mark.skipif(not why_missing(Provider.CUDA), reason="this ONNX Runtime has CUDA")
async def test_a_provider_that_is_missing_is_told_of_and_calls_go_on(bench: Factory) -> None:
    async with bench('[engine]\nproviders = ["cuda"]\n', cloud=False, health=HASTY) as it:
        (missing,) = await until_there_are(it, 1, "provider-failed")
        assert (missing["about"], missing["severity"]) == ("cuda", "warning")


async def test_a_door_that_cannot_open_is_told_of_until_it_can_and_calls_go_on(
    bench: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    taken = socket.create_server(("127.0.0.1", 0))
    listen = f"127.0.0.1:{taken.getsockname()[1]}"
    async with bench(door(listen=listen)[0], cloud=False, health=HASTY) as it, ClientSession() as session:
        (refused,) = await until_there_are(it, 1, "door-refused")
        assert (refused["code"], refused["about"], refused["severity"]) == ("door-refused", f"oip at {listen}", "error")
        assert "address already in use" in refused["what"]
        assert it.daemon.status().startswith(f"door-refused: the door oip at {listen} is not open: ")
        assert await it.client.doors() == []
        taken.close()
        await until_there_are(it, 0, "door-refused")
        async with session.get(f"http://{listen}/v2/health/ready") as reply:
            assert reply.status == 200
        assert [each["address"] for each in await it.client.doors()] == [f"http://{listen}"]
    assert [each for each in told(caplog) if each[1] == "door-refused"] == [
        (HEALTH_RAISED, "door-refused"),
        (HEALTH_CLEARED, "door-refused"),
    ]
