"""Loading, replacing and removing models, and the default model."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import ref

import msgspec
import onnx
import pytest

from collab_sdk.errors import InvalidRequest, StorageUnavailable, UnknownModel
from collabd.catalog.package.package import MODEL, Package, write
from collabd.catalog.store.store import Store
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.loaded import DEFAULT, LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine, EngineError
from collabd.shipped_packages import DEFAULT_MODEL
from tests.unit.device.conftest import planner


@asynccontextmanager
async def loaded(root: Path, package: Package, names: Sequence[str], default: str) -> AsyncIterator[LoadedModels]:
    """The models of a store that holds `package` once under each of `names`."""
    for name in names:
        manifest = msgspec.structs.replace(package.manifest, name=name)
        write(root / name, manifest, model=(package.path / MODEL).read_bytes(), licence="CC0-1.0")
    lane = Lane(ComputeThread())
    models = LoadedModels(Store([root]), Engine(threads=1, cache_bytes=2**24), lane, default=default)
    await models.load_all()
    yield models
    lane.close()


@pytest.mark.parametrize(
    ("names", "default", "meant"),
    [
        (["ours", DEFAULT_MODEL], DEFAULT_MODEL, DEFAULT_MODEL),
        (["ours"], DEFAULT_MODEL, "ours"),
        (["ours"], "", "ours"),
        (["ours", "theirs"], "theirs", "theirs"),
    ],
)
async def test_the_model_of_a_call_that_names_none(
    tmp_path: Path, tiny_package: Package, names: list[str], default: str, meant: str
) -> None:
    async with loaded(tmp_path, tiny_package, names, default) as models:
        assert models.get(DEFAULT).manifest.name == meant


@pytest.mark.parametrize(
    ("names", "default", "error", "says"),
    [
        (["ours", "theirs"], DEFAULT_MODEL, InvalidRequest, "name a model: ours, theirs are loaded"),
        (["ours", "theirs"], "", InvalidRequest, "name a model: ours, theirs are loaded"),
        # The user chose a model that is missing. The labels of another model would not be what the caller expects.
        (["ours"], "our", UnknownModel, "no model 'our' is loaded .*, did you mean 'ours'"),
        ([], DEFAULT_MODEL, UnknownModel, "no model is loaded; add one: collabctl models add /"),
    ],
)
async def test_no_model_is_guessed(
    tmp_path: Path, tiny_package: Package, names: list[str], default: str, error: type[Exception], says: str
) -> None:
    async with loaded(tmp_path, tiny_package, names, default) as models:
        with pytest.raises(error, match=says):
            models.get(DEFAULT)


async def test_a_package_whose_graph_is_no_good_is_left_out(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = onnx.load(tiny_package.path / "model.onnx")
    del graph.graph.value_info[:]
    broken = msgspec.structs.replace(tiny_package.manifest, name="broken")
    write(tmp_path / "broken", broken, model=graph.SerializeToString(), licence="CC0-1.0")
    shutil.copytree(tiny_package.path, tmp_path / "tiny")
    lane = Lane(ComputeThread())
    models = LoadedModels(Store([tmp_path]), Engine(threads=1, cache_bytes=2**24), lane, default="")
    with caplog.at_level(logging.ERROR):
        await models.load_all()
    lane.close()
    assert [model.manifest.name for model in models] == ["tiny"]
    assert "broken is not loaded" in caplog.text


@dataclass
class Shelf:
    """Models with their own store, lane and engine."""

    models: LoadedModels
    engine: Engine
    lane: Lane
    directory: Path

    def version(self, package: Package, licence: str) -> Path:
        """Write a package with the same network and name. Its digest differs, since its licence does."""
        path = self.directory / licence
        return write(path, package.manifest, model=(package.path / "model.onnx").read_bytes(), licence=licence).path

    def block_store(self) -> None:
        """From now on no package can be written, since a file lies in the place of the folder."""
        (self.directory / "store").rmdir()
        (self.directory / "store").touch()

    def runs(self, model: DeviceModel) -> bool:
        feeds = {model.manifest.input: model.blank}
        try:
            self.engine.run(model.key, feeds, (model.manifest.output,))
        except EngineError:
            return False
        return True


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    lane, engine = Lane(ComputeThread()), Engine(threads=1, cache_bytes=2**26)
    yield Shelf(LoadedModels(Store([tmp_path / "store"]), engine, lane, default=""), engine, lane, tmp_path)
    lane.close()


async def test_what_a_call_holds_outlives_what_takes_its_place(tiny_package: Package, shelf: Shelf) -> None:
    models = shelf.models
    first = await models.install(shelf.version(tiny_package, "CC0-1.0"))
    with (held := models.get("tiny")).lent.in_use():
        second = await models.install(shelf.version(tiny_package, "MIT"))
        assert (held, models.get("tiny")) == (first, second)
        assert shelf.runs(held)
        await models.remove("tiny")
        with pytest.raises(UnknownModel):
            models.get("tiny")
        assert shelf.runs(held)
        # No call used the second model, so the engine freed it at once.
        assert not shelf.runs(second)
    assert not shelf.runs(held)
    assert shelf.engine.stats.sessions == 0


async def test_a_package_may_come_back_while_calls_still_hold_it(tiny_package: Package, shelf: Shelf) -> None:
    models, package = shelf.models, shelf.version(tiny_package, "CC0-1.0")
    await models.install(package)
    with (held := models.get("tiny")).lent.in_use():
        await models.remove("tiny")
        again = await models.install(package)
        assert again.digest == held.digest
        assert shelf.runs(held)
        assert shelf.runs(again)
    assert not shelf.runs(held)
    assert shelf.runs(again)


async def test_what_failed_to_come_back_takes_nothing_from_calls_that_hold_it(
    tiny_package: Package, shelf: Shelf
) -> None:
    models, package = shelf.models, shelf.version(tiny_package, "CC0-1.0")
    await models.install(package)

    with (held := models.get("tiny")).lent.in_use():
        await models.remove("tiny")
        shelf.block_store()
        with pytest.raises(StorageUnavailable):
            await models.install(package)
        assert shelf.runs(held)
    assert shelf.engine.stats.sessions == 0


async def test_the_same_package_again_changes_nothing(tiny_package: Package, shelf: Shelf) -> None:
    package = shelf.version(tiny_package, "CC0-1.0")
    first = await shelf.models.install(package)
    assert await shelf.models.install(package) is first
    assert shelf.runs(first)


async def test_a_model_is_removed_once(tiny_package: Package, shelf: Shelf) -> None:
    await shelf.models.install(shelf.version(tiny_package, "CC0-1.0"))
    ends = await asyncio.gather(*(shelf.models.remove("tiny") for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), UnknownModel, UnknownModel]


async def test_what_is_known_of_a_model_goes_with_it(tiny_package: Package, shelf: Shelf) -> None:
    model = await shelf.models.install(shelf.version(tiny_package, "CC0-1.0"))
    its_planner, forgotten = planner(), ref(model)
    assert len(its_planner.candidates(model).rows) == 1
    await shelf.models.remove("tiny")
    del model
    gc.collect()
    assert forgotten() is None


def test_dependencies_that_are_remembered_are_bounded(model: DeviceModel) -> None:
    outputs = (model.manifest.output,)
    for number in range(600):
        model.needed((model.manifest.input, f"nothing {number}"), outputs)
    assert model.needed.cache_info().currsize == 256
    assert model.needed((model.manifest.input, "relu1"), outputs) == ("relu1",)
