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
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, shape_inference

from collab_sdk.errors import InvalidRequest, StorageUnavailable, UnknownModel
from collabd.catalog.package.package import MODEL, Package, write
from collabd.catalog.store.store import Store
from collabd.config import DeviceModelSettings
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.loaded import DEFAULT, LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine, EngineError
from collabd.profiling.profile import Profile
from collabd.shipped_packages import DEFAULT_MODEL
from tests.int8_twin import with_int8_that_runs_nowhere
from tests.unit.device.conftest import planner


@asynccontextmanager
async def loaded(root: Path, package: Package, names: Sequence[str], default: str) -> AsyncIterator[LoadedModels]:
    """The models of a store that holds `package` once under each of `names`."""
    for name in names:
        manifest = msgspec.structs.replace(package.manifest, name=name)
        write(root / name, manifest, model=(package.path / MODEL).read_bytes(), licence="CC0-1.0")
    lane = Lane(ComputeThread())
    models = LoadedModels(
        Store([root]), Engine(threads=1, cache_bytes=2**24), lane, settings=DeviceModelSettings(default=default)
    )
    try:
        await models.load_all()
        yield models
    finally:
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
        assert models.package(DEFAULT).manifest.name == meant


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
            models.package(DEFAULT)


async def test_a_package_whose_graph_is_no_good_is_left_out(
    tiny_package: Package, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = onnx.load(tiny_package.path / "model.onnx")
    del graph.graph.value_info[:]
    broken = msgspec.structs.replace(tiny_package.manifest, name="broken")
    write(tmp_path / "broken", broken, model=graph.SerializeToString(), licence="CC0-1.0")
    shutil.copytree(tiny_package.path, tmp_path / "tiny")
    lane = Lane(ComputeThread())
    models = LoadedModels(
        Store([tmp_path]), Engine(threads=1, cache_bytes=2**24), lane, settings=DeviceModelSettings(default="")
    )
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
        try:
            self.engine.run(model.key, model.blank, model.outputs)
        except EngineError:
            return False
        return True


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    lane, engine = Lane(ComputeThread()), Engine(threads=1, cache_bytes=2**26)
    yield Shelf(
        LoadedModels(Store([tmp_path / "store"]), engine, lane, settings=DeviceModelSettings(default="")),
        engine,
        lane,
        tmp_path,
    )
    lane.close()


async def test_what_a_call_holds_outlives_what_takes_its_place(tiny_package: Package, shelf: Shelf) -> None:
    models = shelf.models
    first = await models.install(shelf.version(tiny_package, "CC0-1.0"))
    with (held := await models.fetch("tiny")).lent.in_use():
        second = await models.install(shelf.version(tiny_package, "MIT"))
        assert (held, models.at_hand("tiny")) == (first, second)
        assert shelf.runs(held)
        await models.remove("tiny")
        with pytest.raises(UnknownModel):
            models.at_hand("tiny")
        assert shelf.runs(held)
        # No call used the second model, so the engine freed it at once.
        assert not shelf.runs(second)
    assert not shelf.runs(held)
    assert shelf.engine.stats.sessions == 0


async def test_a_package_may_come_back_while_calls_still_hold_it(tiny_package: Package, shelf: Shelf) -> None:
    models, package = shelf.models, shelf.version(tiny_package, "CC0-1.0")
    await models.install(package)
    with (held := await models.fetch("tiny")).lent.in_use():
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

    with (held := await models.fetch("tiny")).lent.in_use():
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
    outputs = model.outputs
    for number in range(600):
        model.needed((model.inputs[0], f"nothing {number}"), outputs)
    assert model.needed.cache_info().currsize == 256
    assert model.needed((model.inputs[0], "relu1"), outputs) == ("relu1",)


@dataclass
class Crowd:
    """Three models, with room in memory for the weights of two, and the settings that say so."""

    models: LoadedModels
    engine: Engine
    store: Store
    settings: DeviceModelSettings

    @property
    def in_memory(self) -> list[str]:
        return sorted(model.manifest.name for model in self.models)


@pytest.fixture
async def crowd(tmp_path: Path, tiny_package: Package) -> AsyncIterator[Crowd]:
    for name in ("a", "b", "c"):
        manifest = msgspec.structs.replace(tiny_package.manifest, name=name)
        write(tmp_path / name, manifest, model=large(tiny_package), licence="CC0-1.0")
    lane, engine, store = Lane(ComputeThread()), Engine(threads=1, cache_bytes=2**26), Store([tmp_path])
    settings = DeviceModelSettings(default="", loaded_mb=3, keep=("c",))
    models = LoadedModels(store, engine, lane, settings=settings)
    await models.load_all()
    yield Crowd(models, engine, store, settings)
    lane.close()


def large(package: Package) -> bytes:
    """The network of `package` with 1 MiB of weights more, the sum of which it adds to its scores."""
    graph = onnx.load(package.path / MODEL)
    scores = graph.graph.output[0].name
    for node in graph.graph.node:
        node.output[:] = ["before" if name == scores else name for name in node.output]
    weights = {"many": np.zeros((2**18, 1), np.float32), "first": np.array([0])}
    graph.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    summed = helper.make_node("ReduceSum", ["many", "first"], ["sum"], keepdims=0)
    graph.graph.node.extend([summed, helper.make_node("Add", ["before", "sum"], [scores])])
    data: bytes = shape_inference.infer_shapes(graph).SerializeToString()
    return data


async def test_what_has_no_room_is_loaded_when_a_call_needs_it(crowd: Crowd) -> None:
    assert crowd.models.names == ["a", "b", "c"]
    assert crowd.in_memory == ["c"]
    assert crowd.models.at_hand("b") is None
    await crowd.models.fetch("a")
    assert crowd.in_memory == ["a", "c"]
    model = await crowd.models.fetch("b")
    crowd.engine.run(model.key, model.blank, model.outputs)
    # The model that was kept stays, though it was not used for longest.
    assert crowd.in_memory == ["b", "c"]


async def test_the_least_recently_used_goes_first(crowd: Crowd) -> None:
    crowd.models.use(msgspec.structs.replace(crowd.settings, keep=()))
    await crowd.models.fetch("a")
    assert crowd.models.at_hand("c")
    await crowd.models.fetch("b")
    assert crowd.in_memory == ["b", "c"]
    assert crowd.models.at_hand("b")
    await crowd.models.fetch("a")
    assert crowd.in_memory == ["a", "b"]


async def test_what_a_call_uses_stays(crowd: Crowd) -> None:
    with (await crowd.models.fetch("a")).lent.in_use():
        await crowd.models.fetch("b")
        assert crowd.in_memory == ["a", "b", "c"]
    # Room is made when the next model comes.
    crowd.models.use(crowd.settings)
    assert crowd.in_memory == ["b", "c"]


async def test_calls_that_come_together_load_a_model_once(crowd: Crowd) -> None:
    first, second = await asyncio.gather(crowd.models.fetch("b"), crowd.models.fetch("b"))
    assert first is second


async def test_a_profile_outlives_the_time_away(crowd: Crowd, profile: Profile) -> None:
    (await crowd.models.fetch("a")).take_profile(profile)
    await crowd.models.fetch("b")
    assert crowd.models.profile("a") is profile
    assert (await crowd.models.fetch("a")).profile is profile


async def test_what_is_away_can_be_removed(crowd: Crowd) -> None:
    await crowd.models.remove("b")
    assert crowd.models.names == ["a", "c"]
    with pytest.raises(UnknownModel):
        await crowd.models.fetch("b")


async def test_more_room_puts_nothing_away(crowd: Crowd) -> None:
    crowd.models.use(msgspec.structs.replace(crowd.settings, loaded_mb=100))
    await crowd.models.fetch("a")
    await crowd.models.fetch("b")
    assert crowd.in_memory == ["a", "b", "c"]
    crowd.models.use(crowd.settings)
    assert crowd.in_memory == ["b", "c"]


async def test_a_package_with_int8_runs_in_both_precisions_and_goes_whole(int8_package: Package, shelf: Shelf) -> None:
    model = await shelf.models.install(int8_package.path)
    assert [*model.networks] == [*model.keys] == ["fp32", "int8"]
    assert model.weight_bytes > model.network.weight_bytes
    fp32, int8 = (shelf.engine.run(key, model.blank, model.outputs)["logits"] for key in model.keys.values())
    assert 0 < np.abs(fp32 - int8).max() < np.ptp(fp32) / 2
    keys = [*model.keys.values()]
    await shelf.models.remove("tiny")
    for key in keys:
        with pytest.raises(EngineError, match="no network"):
            shelf.engine.prepare(key, model.inputs, model.outputs)


async def test_a_precision_that_does_not_run_here_is_left_out_with_a_warning(
    int8_package: Package, shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = await shelf.models.install(with_int8_that_runs_nowhere(int8_package, tmp_path / "odd").path)
    assert [*model.networks] == [*model.keys] == ["fp32"]
    assert shelf.runs(model)
    assert "tiny does not run in int8 on this device" in caplog.text
    assert model.weight_bytes == model.network.weight_bytes
