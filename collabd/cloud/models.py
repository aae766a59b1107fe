"""The models that this companion holds: found by name or digest, loaded on first need, received from devices."""

from __future__ import annotations

import asyncio
import logging
import shutil

from collab_sdk.errors import InvalidPackage, UnknownModel
from collabd.catalog.package import Package
from collabd.catalog.store import Store
from collabd.cloud.model import Model
from collabd.engine import Engine, EngineError

log = logging.getLogger(__name__)


class Models:
    """Loaded packages. A name means the package that the store means by it; a digest means just that package."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._by_digest: dict[str, Model] = {}
        self._by_name: dict[str, Model] = {}
        self._loading = asyncio.Lock()

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
            raise UnknownModel(f"no model {name[:80]!r} is loaded; loaded are: {', '.join(self.names) or 'none'}")
        return self._by_name[name]

    async def load_all(self) -> None:
        """Load what the store holds. What cannot be used is logged and passed over."""
        for problem in await asyncio.to_thread(self._store.problems):
            log.warning("%s is no model package: %s", problem.path, problem.reason)
        for package in await asyncio.to_thread(self._store.packages):
            try:
                await self.by_name(package.manifest.name)
            except InvalidPackage as error:
                log.warning("%s is not loaded: %s", package.manifest.name, error)

    async def by_name(self, name: str) -> Model:
        """The model of this name, loaded if need be. Raises `UnknownModel`, `InvalidPackage`."""
        if name not in self._by_name:
            async with self._loading:
                self._by_name[name] = await self._load(await asyncio.to_thread(self._store.get, name))
        return self._by_name[name]

    async def by_digest(self, digest: str) -> Model:
        """The model of this digest, loaded if need be. Raises `UnknownPackage`, `InvalidPackage`."""
        if digest not in self._by_digest:
            async with self._loading:
                await self._load(await asyncio.to_thread(self._store.by_digest, digest))
        return self._by_digest[digest]

    async def receive(self, data: bytes | bytearray, *, digest: str, max_bytes: int) -> Model:
        """Keep and load a package that was sent. Raises `InvalidPackage`, `RequestTooLarge`."""
        async with self._loading:
            if digest in self._by_digest:
                return self._by_digest[digest]
            package = await asyncio.to_thread(self._store.receive, memoryview(data), digest=digest, max_bytes=max_bytes)
            try:
                model = await self._load(package)
            except InvalidPackage:
                await asyncio.to_thread(shutil.rmtree, package.path)
                raise
            self._by_name.setdefault(model.manifest.name, model)
            return model

    async def _load(self, package: Package) -> Model:
        if package.digest not in self._by_digest:
            self._by_digest[package.digest] = await asyncio.to_thread(self._loaded, package)
            log.info("loaded %s, %s", package.manifest.name, package.digest)
        return self._by_digest[package.digest]

    def _loaded(self, package: Package) -> Model:
        """Warm, too: only a session shows whether the runtime takes the graph."""
        model = Model(package, package.network())
        self._engine.add(package.digest, model.network)
        try:
            self._engine.prepare(package.digest, (package.manifest.input,), (package.manifest.output,))
        except EngineError as error:
            self._engine.remove(package.digest)
            raise InvalidPackage(f"{package.manifest.name} does not run here: {error}") from error
        return model
