"""Models are measured one after another, even if one of them fails."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from collabd.catalog.package.package import Package
from collabd.catalog.store.store import Store
from collabd.config import DeviceModelSettings
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.profiler import Profiler, fewest_of_the_fastest, thread_counts
from collabd.engine import Engine
from collabd.limits.cores import usable_cores
from collabd.profiling.profile import Profile
from tests.integration.device.test_nan import rooted
from tests.patience import PATIENCE_S


async def test_one_that_cannot_be_measured_keeps_no_other_from_being_measured(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rooted(250, tmp_path / "packages/dark")  # the photograph that is measured with has shadows
    shutil.copytree(tiny_package.path, tmp_path / "packages/tiny")
    lane = Lane(ComputeThread())
    engine = Engine(threads=1, cache_bytes=2**24)
    models = LoadedModels(Store([tmp_path / "packages"]), engine, lane, settings=DeviceModelSettings(default=""))
    await models.load_all()
    task = asyncio.create_task(Profiler(models, engine, lane, threads=1, directory=tmp_path / "profiles").run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while models.profile("tiny") is None or "measuring dark failed" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        lane.close()
    assert models.profile("dark") is None
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


async def test_the_number_of_threads_is_measured_once(tiny_package: Package, tmp_path: Path) -> None:
    lane, measured = Lane(ComputeThread()), list[Profile]()
    for _ in range(2):
        engine = Engine(threads=usable_cores() + 1, cache_bytes=2**24)
        models = LoadedModels(Store([tiny_package.path.parent]), engine, lane, settings=DeviceModelSettings(default=""))
        await models.load(tiny_package)
        model = await models.fetch(tiny_package.manifest.name)
        profiler = Profiler(models, engine, lane, threads=0, directory=tmp_path)
        await profiler.load_stored()
        if not measured:
            assert model.profile is None
            await profiler._measure(model)
        assert model.profile is not None
        assert 1 <= model.profile.threads <= usable_cores()
        measured.append(model.profile)
        # Its session is there, and runs on as many.
        builds = engine.stats.builds
        engine.run(model.key, model.blank, model.outputs)
        assert engine.stats.builds == builds
        assert engine.stats.sessions == 1
    lane.close()
    assert measured[0] == measured[1]


def test_all_numbers_up_to_four_are_tried_and_all_cores() -> None:
    assert [thread_counts(cores) for cores in (1, 4, 12)] == [[1], [1, 2, 3, 4], [1, 2, 3, 4, 8, 12]]


def test_threads_that_gain_hardly_anything_are_left_to_others() -> None:
    assert fewest_of_the_fastest({1: 0.100, 2: 0.060, 3: 0.051, 4: 0.050}) == 3
    assert fewest_of_the_fastest({1: 0.001, 2: 0.002}) == 1
