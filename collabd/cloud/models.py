"""The models that this companion holds: found by name or digest, loaded on first need, received from devices."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package import Package
from collabd.catalog.store import Store
from collabd.cloud.model import Model
from collabd.cloud.room import Kept, to_delete, to_load
from collabd.config import Packages
from collabd.engine import Engine, EngineError
from collabd.names import unknown_model

log = logging.getLogger(__name__)


class Models:
    """Loaded packages. A name means the package that the store means by it; a digest means just that package.

    Those that were pushed keep within `limits`: the least recently used ones are unloaded, and deleted, for the next.
    """

    def __init__(self, store: Store, engine: Engine, limits: Callable[[], Packages]) -> None:
        self._store = store
        self._engine = engine
        self._limits = limits
        # Least recently used first.
        self._by_digest: OrderedDict[str, Model] = OrderedDict()
        self._by_name: dict[str, Model] = {}
        self._loading = asyncio.Lock()
        # Whoever takes in a package holds this.
        self.receiving = asyncio.Lock()

    @property
    def loaded(self) -> list[Model]:
        """All of them."""
        return list(self._by_digest.values())

    @property
    def names(self) -> list[str]:
        """The names that requests can use."""
        return sorted(self._by_name)

    def get(self, name: str) -> Model:
        """The loaded model of this name. Raises `UnknownModel`, naming those there are."""
        if name not in self._by_name:
            raise unknown_model(name, self.names)
        return self._by_name[name]

    async def load_all(self) -> None:
        """Load what the store holds, of what was pushed the most recently used that fit.

        What cannot be used is logged and passed over.
        """
        await asyncio.to_thread(self._store.tidy)
        for problem in await asyncio.to_thread(self._store.problems):
            log.warning("%s is no model package: %s", problem.path, problem.reason)
        packages = await asyncio.to_thread(self._store.packages)
        chosen = [package for package in packages if not self._store.is_pushed(package)]
        chosen += to_load([each for each in await self._kept() if each.package in packages], self._limits())
        for package in chosen:
            try:
                self._by_name[package.manifest.name] = await self._load(package)
            except InvalidPackage as error:
                log.warning("%s is not loaded: %s", package.manifest.name, error)

    async def by_name(self, name: str) -> Model:
        """The model of this name, loaded if need be. Raises `UnknownModel`, `InvalidPackage`."""
        if name not in self._by_name:
            async with self._loading:
                package = await asyncio.to_thread(self._store.get, name)
                self._by_name[name] = await self._load(package)
                await self._note_use(package)
        return self._touched(self._by_name[name])

    async def by_digest(self, digest: str) -> Model:
        """The model of this digest, loaded if need be. Raises `UnknownPackage`, `InvalidPackage`."""
        if digest not in self._by_digest:
            async with self._loading:
                package = await asyncio.to_thread(self._store.by_digest, digest)
                await self._load(package)
                await self._note_use(package)
        return self._touched(self._by_digest[digest])

    async def receive(self, data: bytes | bytearray, *, digest: str, max_bytes: int) -> Model:
        """Keep and load a package that was sent; done in full also where the sender no longer waits.

        Raises `InvalidPackage`, `RequestTooLarge`, `StorageUnavailable`.
        """
        return await asyncio.shield(self._receive(data, digest, max_bytes))

    async def _receive(self, data: bytes | bytearray, digest: str, max_bytes: int) -> Model:
        async with self._loading:
            if digest not in self._by_digest:
                await self._make_room(len(data))
                package = await asyncio.to_thread(
                    self._store.receive, memoryview(data), digest=digest, max_bytes=max_bytes
                )
                try:
                    await self._load(package)
                except InvalidPackage:
                    await asyncio.to_thread(self._store.discard, package)
                    raise
            model = self._touched(self._by_digest[digest])
            self._by_name.setdefault(model.manifest.name, model)
            return model

    async def _make_room(self, nbytes: int) -> None:
        for package in to_delete(await self._kept(), nbytes, self._limits()):
            self._unload(package.digest)
            await asyncio.to_thread(self._store.discard, package)
            log.info("%s made room for another package: %s", package.manifest.name, package.digest)

    async def _kept(self) -> list[Kept]:
        """The pushed packages, least recently used first; those that are not loaded are older than all that are."""
        pushed = await asyncio.to_thread(lambda: [(each, _size(each)) for each in self._store.pushed()])
        order = {digest: place for place, digest in enumerate(self._by_digest)}
        pushed.sort(key=lambda each: order.get(each[0].digest, -1))
        return [Kept(package, nbytes, self._is_busy(package)) for package, nbytes in pushed]

    def _is_busy(self, package: Package) -> bool:
        model = self._by_digest.get(package.digest)
        return model is not None and model.lent.users > 0

    async def _load(self, package: Package) -> Model:
        if package.digest not in self._by_digest:
            model = self._by_digest[package.digest] = await asyncio.to_thread(self._loaded, package)
            log.info("loaded %s, %s", package.manifest.name, package.digest)
            self._unload_excess(model)
        return self._by_digest[package.digest]

    async def _note_use(self, package: Package) -> None:
        """Once a time that it is loaded: every request would wear the disk out."""
        if self._store.is_pushed(package):
            await asyncio.to_thread(self._store.used, package)

    def _loaded(self, package: Package) -> Model:
        """Warm, too: only a session shows whether the runtime takes the graph."""
        model = Model(package, package.network())
        self._engine.add(model.key, model.network)
        try:
            self._engine.prepare(model.key, (package.manifest.input,), (package.manifest.output,))
        except EngineError as error:
            self._engine.remove(model.key)
            raise InvalidPackage(f"{package.manifest.name} does not run here: {error}") from error
        return model

    def _touched(self, model: Model) -> Model:
        self._by_digest.move_to_end(model.digest)
        return model

    def _unload_excess(self, newest: Model) -> None:
        limit = self._limits().loaded_mb * 2**20
        for model in self.loaded:
            if self._loaded_bytes() <= limit:
                return
            if self._store.is_pushed(model.package) and model is not newest and not model.lent.users:
                self._unload(model.digest)
                log.info("unloaded %s, %s", model.manifest.name, model.digest)

    def _loaded_bytes(self) -> int:
        return sum(model.network.weight_bytes for model in self.loaded if self._store.is_pushed(model.package))

    def _unload(self, digest: str) -> None:
        model = self._by_digest.pop(digest, None)
        if model is not None:
            model.lent.retire(lambda: self._engine.remove(model.key))
            self._by_name = {name: other for name, other in self._by_name.items() if other is not model}


def _size(package: Package) -> int:
    return sum(path.stat().st_size for path in package.path.iterdir())
