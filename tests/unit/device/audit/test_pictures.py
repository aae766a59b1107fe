"""Pictures of calls on their way to the audit."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from collabd.device.audit.pictures import KnownPictures, RecentPictures
from collabd.device.job.image import CallImage
from collabd.device.job.tensors import CallTensors
from collabd.device.models.model import DeviceModel
from tests.task_networks import package_of

FRAME = CallImage(np.zeros((16, 16, 3), np.uint8), 256)


def picture(level: int) -> np.ndarray:
    return np.full((1, 16, 16, 3), level, np.uint8)


async def test_the_newest_picture_of_a_model_is_taken_once(model: DeviceModel) -> None:
    pictures = RecentPictures()
    for level in (1, 2, 3):
        pictures.saw(model, FRAME, picture(level))
    seen = await pictures.next()
    assert seen.digest == model.digest
    assert (seen.prepared(model.manifest.require_picture()) == 3).all()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pictures.next(), 0.01)


async def test_who_waits_gets_the_next_picture(model: DeviceModel) -> None:
    pictures = RecentPictures()
    waiting = asyncio.create_task(pictures.next())
    await asyncio.sleep(0)
    pictures.saw(model, FRAME, picture(4))
    assert (await waiting).digest == model.digest


async def test_a_file_that_nobody_prepared_is_prepared_by_the_audit(model: DeviceModel) -> None:
    pictures = RecentPictures()
    pictures.saw(model, FRAME, None)
    pictures.saw(model, CallImage(b"x" * 2**24, 256), None)  # larger than is held
    assert isinstance(FRAME.content, np.ndarray)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pictures.next(), 0.01)


async def test_models_take_turns(model: DeviceModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    package = package_of("segment", tmp_path_factory.mktemp("other") / "tiny")
    other, pictures = DeviceModel(package, package.networks()), RecentPictures()
    taken = []
    for _ in range(4):
        pictures.saw(model, FRAME, picture(1))
        pictures.saw(other, FRAME, picture(1))
        taken.append((await pictures.next()).digest)
    assert taken in ([model.digest, other.digest] * 2, [other.digest, model.digest] * 2)


async def test_tensors_are_no_pictures(model: DeviceModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    package = package_of("tensors", tmp_path_factory.mktemp("other") / "tiny")
    pictures = RecentPictures()
    pictures.saw(DeviceModel(package, package.networks()), CallTensors({}), None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pictures.next(), 0.01)


def test_copies_are_known_and_others_are_not() -> None:
    rng, known = np.random.default_rng(1), KnownPictures()
    pictures = rng.integers(0, 256, (1200, 1, 16, 16, 3), dtype=np.uint8)
    noise = rng.integers(-2, 3, pictures[0].shape)
    for each in pictures:
        assert not known.has("sha256:0", each)
        known.add("sha256:0", each)
    assert known.has("sha256:0", pictures[-1])
    assert known.has("sha256:0", np.clip(pictures[-900] + noise, 0, 255).astype(np.uint8))
    assert not known.has("sha256:1", pictures[-1])
    # About as many are known as count.
    assert not known.has("sha256:0", pictures[0])
