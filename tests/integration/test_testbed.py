"""Who waits for a test bed is told what it does, and that it has failed, at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from collab_sdk import AsyncClient, DaemonUnavailable
from collabd.catalog.package.package import Package
from collabd.simulation.testbed import Testbed
from tests.slowed import slowed_collabd


def _packages(directory: Path, package: Package) -> Path:
    shutil.copytree(package.path, directory / "models/tiny/package")
    return directory / "models"


async def test_who_waits_is_told_which_networks_are_still_measured(tmp_path: Path, tiny_package: Package) -> None:
    told: list[str] = []
    bed = Testbed(_packages(tmp_path, tiny_package), tmp_path, device=slowed_collabd(20.0))
    async with bed.relay():
        with bed:
            async with AsyncClient(bed.socket) as client:
                await bed.until_ready(client, tell=told.append)
                assert all(model["profiled"] for model in await client.models())
    assert set(told) == {"it is still profiling tiny"}


@pytest.mark.parametrize("side", ["device", "cloud"])
async def test_a_daemon_that_ends_is_not_waited_for(tmp_path: Path, tiny_package: Package, side: str) -> None:
    wrong = {side: "no_such_key = 1\n"}
    bed = Testbed(
        _packages(tmp_path, tiny_package),
        tmp_path,
        settings=wrong.get("device", ""),
        cloud_settings=wrong.get("cloud", ""),
    )
    async with bed.relay():
        with bed:
            async with AsyncClient(bed.socket) as client:
                with pytest.raises(DaemonUnavailable, match=f"the daemon '{side}' has ended.*no_such_key"):
                    await bed.until_ready(client)
