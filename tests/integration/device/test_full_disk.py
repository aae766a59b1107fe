"""A device whose disk is full: it goes on answering, says so, and recovers by itself."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from collab_sdk.errors import InvalidPackage, StorageUnavailable
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from tests.full_disk import fill, mounted
from tests.integration.device.conftest import Factory
from tests.patience import PATIENCE_S


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_full_disk_keeps_nothing_new_and_stops_nothing(
    bench: Factory, other_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "device"
    with mounted(state):
        ballast = fill(state)
        async with bench(cloud=False) as it:
            # It measured the model, and has the profile although it could not be kept, which it says a moment later.
            for _ in range(int(PATIENCE_S / 0.05)):
                if "cannot keep" in caplog.text:
                    break
                await asyncio.sleep(0.05)
            assert "over a restart: [Errno 28] No space left on device" in caplog.text
            with pytest.raises(StorageUnavailable, match=r"No space left.*make room"):
                await it.client.load_model(other_package.path)
            assert [model["name"] for model in await it.client.models()] == ["tiny"]
            assert names(state / "models") == names(state / "profiles") == []
            await it.client.infer(it.images[0])
            ballast.unlink()
            await it.client.load_model(other_package.path)
            assert names(state / "models") == ["other"]
            await it.client.infer(it.images[0], model="other")


async def test_one_rotten_package_does_not_keep_the_others_from_answering(
    bench: Factory, tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rotten = shutil.copytree(tiny_package.path, tmp_path / "device/models/rotten")
    with (rotten / packages.MODEL).open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    shutil.copytree(tiny_package.path, tmp_path / "device/models/.new-tiny-1/new")
    async with bench(cloud=False) as it:
        await it.client.infer(it.images[0])
    assert f"the package {rotten} is not loaded: " in caplog.text
    assert names(tmp_path / "device/models") == ["rotten"]


async def test_a_package_that_does_not_run_replaces_none_that_does(
    bench: Factory, tiny_package: Package, tmp_path: Path
) -> None:
    graph = (tiny_package.path / packages.MODEL).read_bytes().replace(b"MaxPool", b"MaxFool")
    broken = packages.write(tmp_path / "broken", tiny_package.manifest, model=graph, licence="CC0-1.0")
    async with bench(cloud=False) as it:
        with pytest.raises(InvalidPackage, match="does not run on this device"):
            await it.client.load_model(broken.path)
        await it.client.infer(it.images[0])
    async with bench(cloud=False) as it:
        await it.client.infer(it.images[0])
