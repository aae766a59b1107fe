"""The loaded models, by name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from collab_sdk.errors import InvalidPackage, InvalidRequest, StorageUnavailable, UnknownModel
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.catalog.store.store import Store
from collabd.device.lane.lane import Lane
from collabd.device.models.model import DeviceModel
from collabd.did_you_mean import unknown_model
from collabd.engine import Engine, EngineError
from collabd.shipped_packages import DEFAULT_MODEL, how_to_add

log = logging.getLogger(__name__)

# A call that names no model has this name in its URL.
DEFAULT = "_default"


class LoadedModels:
    """Loads packages from the store, warms them, and finds them for calls."""

    def __init__(self, store: Store, engine: Engine, lane: Lane, *, default: str) -> None:
        self._store = store
        self._engine = engine
        self._lane = lane
        self._default = default
        self._loaded: dict[str, DeviceModel] = {}
        # Set whenever a model is loaded; cleared by whoever waits for that.
        self.new = asyncio.Event()
        # Held while the loaded models and the store change, so that they change together.
        self._changing = asyncio.Lock()

    def __iter__(self) -> Iterator[DeviceModel]:
        return iter(list(self._loaded.values()))

    def use_default(self, name: str) -> None:
        """Use the model `name` for calls that name no model, from now on."""
        self._default = name

    def packages(self) -> list[Package]:
        """The packages of the loaded models."""
        return [model.package for model in self]

    def get(self, name: str) -> DeviceModel:
        """The model `name`, or the default model. Raises `UnknownModel`, `InvalidRequest`."""
        if name == DEFAULT:
            name = self._default_name()
        try:
            return self._loaded[name]
        except KeyError:
            raise unknown_model(name, self._loaded) from None

    async def load_all(self) -> None:
        """Load every package in the store. A broken package is logged and skipped."""
        self._store.tidy()
        for problem in self._store.problems():
            log.error("the package %s is not loaded: %s", problem.path, problem.reason)
        for package in self._store.packages():
            try:
                await self.load(package)
            except InvalidPackage as error:
                log.error("the package %s is not loaded: %s", package.path, error)  # noqa: TRY400  the reason says it all

    async def install(self, path: Path) -> DeviceModel:
        """Load the package at `path`, copy it into the store, and then replace the loaded model of the same name.

        Loading comes first, because a package may crash this process. Such a package must not be in the store at the
        next start. Raises `InvalidPackage`, `StorageUnavailable`.
        """
        async with self._changing:
            found = await asyncio.to_thread(packages.load, path)
            model = await self._warmed(found)
            try:
                model.package = await asyncio.to_thread(self._store.install, path, found.digest)
            except (InvalidPackage, StorageUnavailable):
                if model is not self._loaded.get(model.manifest.name):
                    self._engine.remove(model.key)
                raise
            return self.put(model)

    async def load(self, package: Package) -> DeviceModel:
        """Load and warm a package. Raises `InvalidPackage`."""
        async with self._changing:
            return self.put(await self._warmed(package))

    async def remove(self, name: str) -> None:
        """Unload a model and delete its package. Raises `UnknownModel`, `InvalidRequest`, `StorageUnavailable`."""
        async with self._changing:
            model = self.get(name)
            await asyncio.to_thread(self._store.remove, name)
            del self._loaded[name]
            self._retire(model)

    def put(self, model: DeviceModel) -> DeviceModel:
        """Let calls have this model, which is warm, in place of the one of its name."""
        old = self._loaded.get(model.manifest.name)
        self._loaded[model.manifest.name] = model
        self.new.set()
        if old is not None and old is not model:
            self._retire(old)
        return model

    def _retire(self, model: DeviceModel) -> None:
        """Free the sessions and weights of `model` as soon as the last call that uses it has ended."""
        model.lent.retire(lambda: self._engine.remove(model.key))

    async def _warmed(self, package: Package) -> DeviceModel:
        """Load and warm `package`, unless exactly this package is loaded already. Raises `InvalidPackage`."""
        loaded = self._loaded.get(package.manifest.name)
        if loaded is not None and loaded.digest == package.digest:
            return loaded
        return await self._lane.prepare(lambda: self._warm(package))

    def _warm(self, package: Package) -> DeviceModel:
        model = DeviceModel(package, package.network())
        self._engine.add(model.key, model.network)
        feeds, outputs = {package.manifest.input: model.blank}, (package.manifest.output,)
        try:
            self._engine.run(model.key, feeds, outputs)
            start = time.perf_counter()
            self._engine.run(model.key, feeds, outputs)
        except EngineError as error:
            self._engine.remove(model.key)
            raise InvalidPackage(f"{package.manifest.name} does not run on this device: {error}") from error
        model.warmed_up(time.perf_counter() - start)
        return model

    def _default_name(self) -> str:
        if not self._loaded:
            raise UnknownModel(f"no model is loaded; {how_to_add()}")
        # A default that the user chose is not replaced silently when it is missing: `get` then raises.
        if self._default in self._loaded or self._default not in {"", DEFAULT_MODEL}:
            return self._default
        if len(self._loaded) == 1:
            return next(iter(self._loaded))
        raise InvalidRequest(f"name a model: {', '.join(self._loaded)} are loaded (or set models.default)")
