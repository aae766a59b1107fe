"""Models are measured one after another, even if one of them fails."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from collabd.catalog.package.package import Package
from collabd.catalog.store.store import Store
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.profiler import Profiler
from collabd.engine import Engine
from tests.integration.device.test_nan import rooted


async def test_one_that_cannot_be_measured_keeps_no_other_from_being_measured(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rooted(250, tmp_path / "packages/dark")  # the photograph that is measured with has shadows
    shutil.copytree(tiny_package.path, tmp_path / "packages/tiny")
    lane = Lane(ComputeThread())
    models = LoadedModels(Store([tmp_path / "packages"]), Engine(threads=1, cache_bytes=2**24), lane, default="")
    await models.load_all()
    task = asyncio.create_task(Profiler(models, lane, threads=1, directory=tmp_path / "profiles").run())
    try:
        async with asyncio.timeout(60):
            while models.get("tiny").profile is None or "measuring dark failed" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        lane.close()
    assert models.get("dark").profile is None
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1
