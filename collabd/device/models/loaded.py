"""The models, by name: those in memory, and those that are put away until a call needs them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from collab_sdk.errors import InvalidPackage, InvalidRequest, StorageUnavailable, UnknownModel
from collab_sdk.vocabulary import Precision
from collabd.catalog.package import package as packages
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import Package
from collabd.catalog.store.store import Store
from collabd.config import DeviceModelSettings
from collabd.device.lane.lane import Lane
from collabd.device.models.model import DeviceModel
from collabd.device.models.pairs import why_unpaired
from collabd.did_you_mean import unknown_model
from collabd.engine import Engine, EngineError
from collabd.limits.memory import memory_is_scarce
from collabd.profiling.profile import Profile
from collabd.providers.choice import Providers
from collabd.shipped_packages import DEFAULT_MODEL, how_to_add

log = logging.getLogger(__name__)

# A call that names no model has this name in its URL.
DEFAULT = "_default"

_MIB = 2**20


class _PutAway(NamedTuple):
    """A model that is not in memory, and its profile, if it was measured."""

    package: Package
    profile: Profile | None = None


class LoadedModels:
    """Loads packages from the store, warms them, and finds them for calls.

    Models whose weights together take more than `loaded_mb` of the settings are put away, the least recently used
    first, and loaded again when a call needs them. Those of `keep` stay, and so does one that a call uses.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        lane: Lane,
        *,
        settings: DeviceModelSettings,
        providers: Providers | None = None,
    ) -> None:
        """`providers`: those that may run packages; None: the CPU's alone."""
        self._store = store
        self._engine = engine
        self._providers = providers or Providers()
        self._lane = lane
        self._settings = settings
        # Least recently used first.
        self._loaded: OrderedDict[str, DeviceModel] = OrderedDict()
        self._away: dict[str, _PutAway] = {}
        # Models that answer no call until somebody loads them.
        self._unloaded: dict[str, _PutAway] = {}
        # Set whenever a model is loaded; cleared by whoever waits for that.
        self.new = asyncio.Event()
        # Held while the loaded models and the store change, so that they change together.
        self._changing = asyncio.Lock()

    def __iter__(self) -> Iterator[DeviceModel]:
        """The models in memory."""
        return iter(list(self._loaded.values()))

    def use(self, settings: DeviceModelSettings) -> None:
        """Go by these settings from now on, but for the roots."""
        self._settings = settings
        self._make_room()

    @property
    def names(self) -> list[str]:
        """The names of all models, in memory or not."""
        return sorted({*self._loaded, *self._away})

    @property
    def unloaded(self) -> list[str]:
        """The names of the models that were unloaded, and answer no call."""
        return sorted(self._unloaded)

    def packages(self) -> list[Package]:
        """The packages of all models."""
        return [self.package(name) for name in self.names]

    def package(self, name: str) -> Package:
        """The package of a model, or of the default model. Raises `UnknownModel`, `InvalidRequest`."""
        name = self._meant(name)
        loaded = self._loaded.get(name)
        return self._away[name].package if loaded is None else loaded.package

    def profile(self, name: str) -> Profile | None:
        """The profile of the model `name`, in memory or not; None: it was not measured yet."""
        loaded = self._loaded.get(name)
        return self._away[name].profile if loaded is None else loaded.profile

    def at_hand(self, name: str) -> DeviceModel | None:
        """The model `name`, or the default model; None if it is put away. Raises `UnknownModel`, `InvalidRequest`."""
        name = self._meant(name)
        if (model := self._loaded.get(name)) is not None:
            if model.manifest.little is not None and model.manifest.little.package in self._loaded:
                self._loaded.move_to_end(model.manifest.little.package)
            self._loaded.move_to_end(name)
        return model

    def little_of(self, model: DeviceModel) -> DeviceModel | None:
        """The little network that may answer in the place of this model; None: there is none, or it may not now."""
        little = model.manifest.little
        return None if little is None or self.why_alone(model.manifest) else self._loaded[little.package]

    def why_alone(self, manifest: Manifest) -> str:
        """Why the little network of this model answers no calls; empty if it does, or if there is none."""
        if manifest.little is None:
            return ""
        name = manifest.little.package
        found = self.package(name) if name in self._loaded or name in self._away else None
        return why_unpaired(manifest, found, loaded=name in self._loaded)

    async def fetch(self, name: str) -> DeviceModel:
        """The model `name`, or the default model, loaded if it is put away. It stays if it is used at once.

        Raises `UnknownModel`, `InvalidRequest`, `InvalidPackage`.
        """
        if (model := self.at_hand(name)) is not None:
            return model
        async with self._changing:
            if (model := self.at_hand(name)) is not None:
                return model
            model = await self._brought(self._away[self._meant(name)])
            little = model.manifest.little
            if little is not None and (away := self._away.get(little.package)) and self._has_room(away.package):
                await self._brought(away)
            return model

    async def _brought(self, away: _PutAway) -> DeviceModel:
        return self.put(await self._prepared(away.package, away.profile))

    async def load_all(self) -> None:
        """Load the packages in the store as far as there is room, and put the others away.

        Those of `keep` come first, then the default model. A broken package is logged and skipped.
        """
        self._store.tidy()
        for problem in self._store.problems():
            log.error("the package %s is not loaded: %s", problem.path, problem.reason)
        for package in sorted(self._store.packages(), key=self._how_late):
            if not self._has_room(package):
                self._away[package.manifest.name] = _PutAway(package)
                log.info("%s is loaded when a call needs it: loaded_mb leaves no room for it", package.manifest.name)
                continue
            try:
                await self.load(package)
            except InvalidPackage as error:
                log.error("the package %s is not loaded: %s", package.path, error)  # noqa: TRY400  the reason says it all

    async def install(self, path: Path, *, replaces: Callable[[Package], bool] = lambda _: True) -> DeviceModel:
        """Load the package at `path`, copy it into the store, and then replace the loaded model of the same name.

        Loading comes first, because a package may crash this process. Such a package must not be in the store at the
        next start. `replaces` says whether it may replace a package of its name. Raises `InvalidPackage`,
        `InvalidRequest` if it may not, `StorageUnavailable`.
        """
        async with self._changing:
            found = await asyncio.to_thread(packages.load, path)
            name = found.manifest.name
            if name in self.names and not replaces(self.package(name)):
                raise InvalidRequest(f"there is another model {name}, which stays as it is")
            model = await self._warmed(found)
            try:
                model.package = await asyncio.to_thread(self._store.install, path, found.digest)
            except (InvalidPackage, StorageUnavailable):
                if model is not self._loaded.get(model.manifest.name):
                    self._forget(model)
                raise
            return self.put(model)

    async def load(self, package: Package) -> DeviceModel:
        """Load and warm a package. Raises `InvalidPackage`."""
        async with self._changing:
            return self.put(await self._warmed(package))

    async def remove(self, name: str) -> None:
        """Unload a model and delete its package. Raises `UnknownModel`, `InvalidRequest`, `StorageUnavailable`."""
        async with self._changing:
            if name not in self._unloaded:
                self._meant(name)
            await asyncio.to_thread(self._store.remove, name)
            self._take_out(name)
            self._unloaded.pop(name, None)

    async def reload(self, name: str) -> DeviceModel:
        """Read the package of this name again, and load it, also if it was unloaded.

        Raises `UnknownModel`, `InvalidPackage`.
        """
        async with self._changing:
            package = await asyncio.to_thread(self._store.get, name)
            known = self._unloaded.get(name)
            if known is not None and known.package.digest == package.digest:
                return await self._brought(known)
            return self.put(await self._warmed(package))

    async def unload(self, name: str) -> None:
        """Answer no more calls with a model, until it is loaded or the daemon starts anew; its package stays.

        Raises `UnknownModel`, `InvalidRequest`.
        """
        async with self._changing:
            name = self._meant(name)
            self._unloaded[name] = _PutAway(self.package(name), self.profile(name))
            self._take_out(name)

    def _take_out(self, name: str) -> None:
        self._away.pop(name, None)
        if (model := self._loaded.pop(name, None)) is not None:
            self._retire(model)

    def put(self, model: DeviceModel) -> DeviceModel:
        """Let calls have this model, which is warm, in place of the one of its name."""
        old = self._loaded.get(model.manifest.name)
        self._loaded[model.manifest.name] = model
        self._away.pop(model.manifest.name, None)
        self._unloaded.pop(model.manifest.name, None)
        self.new.set()
        if old is not None and old is not model:
            self._retire(old)
        self._make_room(newest=model)
        return model

    def _make_room(self, newest: DeviceModel | None = None) -> None:
        """Put models away until the weights of the others fit. `newest`: stays, since a call waits for it."""
        for name, model in list(self._loaded.items()):
            if self._weight_bytes <= self._room:
                return
            if model is not newest and name not in self._settings.keep and not model.lent.users:
                del self._loaded[name]
                self._away[name] = _PutAway(model.package, model.profile)
                self._retire(model)
                log.info("%s made room for other models; it is loaded when a call needs it", name)

    @property
    def _weight_bytes(self) -> int:
        return sum(model.weight_bytes for model in self)

    @property
    def _room(self) -> int:
        return self._settings.loaded_mb * _MIB

    def _has_room(self, package: Package) -> bool:
        if not self._loaded or package.manifest.name in self._settings.keep:
            return True
        return self._weight_bytes + package.weight_bytes <= self._room

    def _how_late(self, package: Package) -> tuple[bool, bool]:
        name = package.manifest.name
        return name not in self._settings.keep, name != self._settings.default

    def _retire(self, model: DeviceModel) -> None:
        """Free the sessions and weights of `model` as soon as the last call that uses it has ended."""
        model.lent.retire(lambda: self._forget(model))

    def _forget(self, model: DeviceModel) -> None:
        for key in model.keys.values():
            self._engine.remove(key)

    async def _warmed(self, package: Package) -> DeviceModel:
        """Load and warm `package`, unless exactly this package is loaded already. Raises `InvalidPackage`."""
        loaded = self._loaded.get(package.manifest.name)
        if loaded is not None and loaded.digest == package.digest:
            return loaded
        return await self._prepared(package, None)

    async def _prepared(self, package: Package, profile: Profile | None) -> DeviceModel:
        # Not on the lane, where calls would wait for the trials.
        await asyncio.to_thread(self._providers.of, package)
        return await self._lane.prepare(lambda: self._warm(package, profile))

    def _warm(self, package: Package, profile: Profile | None) -> DeviceModel:
        networks = {Precision.FP32: package.network()} if memory_is_scarce() else package.networks()
        model = DeviceModel(package, networks)
        for precision, key in model.keys.items():
            self._engine.add(key, model.networks[precision], providers=self._providers.of(package, precision))
            if profile is not None:
                self._engine.use_threads(key, profile.threads)
        try:
            model.warmed_up(self._run_twice(model, Precision.FP32))
        except EngineError as error:
            self._forget(model)
            raise InvalidPackage(f"{package.manifest.name} does not run on this device: {error}") from error
        self._try_others(model)
        if profile is not None:
            model.take_profile(profile)
        return model

    def _try_others(self, model: DeviceModel) -> None:
        """Do without the precisions that do not run here. The model is of use without them."""
        for precision in [each for each in model.keys if each != Precision.FP32]:
            try:
                self._run_twice(model, precision)
            except EngineError as error:
                self._engine.remove(model.keys[precision])
                model.leave_out(precision)
                log.warning("%s does not run in %s on this device: %s", model.manifest.name, precision, error)

    def _run_twice(self, model: DeviceModel, precision: Precision) -> float:
        """The seconds of the second run, for which the session is built and warm. Raises `EngineError`."""
        key = model.keys[precision]
        self._engine.run(key, model.blank, model.outputs)
        start = time.perf_counter()
        self._engine.run(key, model.blank, model.outputs)
        return time.perf_counter() - start

    def _meant(self, name: str) -> str:
        """The name of a model that there is."""
        if name == DEFAULT:
            name = self._default_name()
        if name in self._unloaded:
            raise UnknownModel(f"{name} was unloaded: POST /v2/repository/models/{name}/load loads it again")
        if name not in self._loaded and name not in self._away:
            raise unknown_model(name, self.names)
        return name

    def _default_name(self) -> str:
        default = self._settings.default
        if default in self._loaded:
            return default
        names = self.names
        if not names:
            raise UnknownModel(f"no model is loaded; {how_to_add()}")
        # A default that the user chose is not replaced silently when it is missing.
        if default in names or default not in {"", DEFAULT_MODEL}:
            return default
        if len(names) == 1:
            return names[0]
        raise InvalidRequest(f"name a model: {', '.join(names)} are loaded (or set models.default)")
