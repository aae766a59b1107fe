"""The models that this companion holds: found by name or digest, loaded on first need, received from devices."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from collab_sdk.errors import InvalidPackage, UnknownPackage
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import Package
from collabd.catalog.store.shared import SharedPackages
from collabd.catalog.store.store import Store
from collabd.cloud.models.eviction import PushedPackage, to_delete, to_load, to_unload
from collabd.cloud.models.model import CloudModel
from collabd.config import PackageSettings
from collabd.did_you_mean import unknown_model
from collabd.engine import Engine, EngineError, other_key
from collabd.fair_shares import FairShares
from collabd.providers.choice import Providers, Reduced

log = logging.getLogger(__name__)

# How many packages are received at once. Each may take `max_mb` of memory, and its trial a process of its own.
_PUSHES = 2
# How many packages are loaded at once. asyncio has five threads at least; pushes and loads leave one for lookups.
_LOADS = 2


class CloudModels:
    """Loaded packages. A name means the package that the store means by it; a digest means just that package.

    Pushed packages keep within `limits`, and each device within its share (see `eviction`). A request waits for no
    package that is loaded or tried out for another, unless it needs the same one.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        limits: Callable[[], PackageSettings],
        *,
        shared: SharedPackages | None = None,
        providers: Providers | None = None,
    ) -> None:
        """`shared`: where packages are that devices pushed to other companions; None: there is no such place.

        `providers`: those that may run packages; None: the CPU's alone.
        """
        self._store = store
        self._shared = shared
        self._engine = engine
        self._providers = providers or Providers()
        self._limits = limits
        # Least recently used first.
        self._by_digest: OrderedDict[str, CloudModel] = OrderedDict()
        self._by_name: dict[str, CloudModel] = {}
        # One lock for each package that is loaded or received now.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Pushed packages whose room is made, and which are not in the store yet.
        self._coming: dict[str, PushedPackage] = {}
        self._making_room = asyncio.Lock()
        # A device holds one of these turns from the upload of a package until it is kept or refused.
        self.pushes = FairShares(_PUSHES, 1)
        self._loads = FairShares(_LOADS, 1)

    @property
    def loaded(self) -> list[CloudModel]:
        """The loaded models."""
        return list(self._by_digest.values())

    @property
    def names(self) -> list[str]:
        """The names that requests can use."""
        return sorted(self._by_name)

    def get(self, name: str) -> CloudModel:
        """The loaded model of this name. Raises `UnknownModel`, naming those there are."""
        if name not in self._by_name:
            raise unknown_model(name, self.names)
        return self._by_name[name]

    async def load_all(self) -> None:
        """Load the installed packages, and as many pushed ones as fit, the most recently used first.

        A package that cannot be used is logged and left out.
        """
        await asyncio.to_thread(self._store.tidy)
        if self._shared is not None:
            await asyncio.to_thread(self._shared.check)
        for problem in await asyncio.to_thread(self._store.problems):
            log.warning("%s is not a model package: %s", problem.path, problem.reason)
        packages = await asyncio.to_thread(self._store.packages)
        chosen = [package for package in packages if not self._store.is_pushed(package)]
        chosen += to_load([each for each in await self._kept() if each.package in packages], self._limits())
        for package in chosen:
            try:
                self._by_name[package.manifest.name] = await self.by_digest(package.digest)
            except (InvalidPackage, UnknownPackage) as error:
                log.warning("%s is not loaded: %s", package.manifest.name, error)

    async def by_name(self, name: str, device: str | None = None) -> CloudModel:
        """The model of this name, loaded if need be. Raises `UnknownModel`, `UnknownPackage`, `InvalidPackage`."""
        known = self._by_name.get(name)
        digest = (await asyncio.to_thread(self._store.get, name) if known is None else known).digest
        model = self._by_name[name] = await self.by_digest(digest, device)
        return model

    async def by_digest(self, digest: str, device: str | None = None) -> CloudModel:
        """The model of this digest, loaded if need be. Raises `UnknownPackage`, `InvalidPackage`.

        It is loaded when this returns. It stays loaded if the caller takes it into use before it awaits anything.
        """
        while (model := self._by_digest.get(digest)) is None or device not in model.devices:
            await (self._held_or_fetched(digest, device) if model is None else self._note_use(model, device))
        self._by_digest.move_to_end(digest)
        return model

    async def receive(
        self, data: bytes | bytearray, *, digest: str, max_bytes: int, device: str | None, turn: AsyncExitStack
    ) -> CloudModel:
        """Keep and load a package that a device sent, then leave `turn`; finished even if the caller is cancelled.

        Raises `InvalidPackage`, `RequestTooLarge`, `StorageUnavailable`.
        """
        return await asyncio.shield(self._receive(data, digest=digest, max_bytes=max_bytes, device=device, turn=turn))

    async def _receive(
        self, data: bytes | bytearray, *, digest: str, max_bytes: int, device: str | None, turn: AsyncExitStack
    ) -> CloudModel:
        async with turn, self._alone(f"the push of {digest}"):
            if digest not in self._by_digest:
                await self._take(data, digest=digest, max_bytes=max_bytes, device=device)
            model = await self.by_digest(digest, device)
            self._by_name.setdefault(model.manifest.name, model)
            if self._shared is not None:
                await asyncio.to_thread(self._shared.put, model.package)
            return model

    async def _take(self, data: bytes | bytearray, *, digest: str, max_bytes: int, device: str | None) -> None:
        new = PushedPackage(package=None, nbytes=len(data), devices=_named(device), busy=True)
        async with self._room_for(digest, new):
            await self._keep(data, digest=digest, max_bytes=max_bytes, device=device)

    async def _held_or_fetched(self, digest: str, device: str | None) -> None:
        try:
            await self._held(digest, device)
        except UnknownPackage:
            if self._shared is None or not self._limits().accept:
                raise
            if not await asyncio.shield(self._fetch(self._shared, digest, device)):
                raise

    async def _fetch(self, shared: SharedPackages, digest: str, device: str | None) -> bool:
        """Take a package that another companion shares, as if `device` had pushed it. False: none shares it."""
        async with self.pushes.held(device), self._alone(f"the push of {digest}"):
            if digest in self._by_digest:
                return True
            max_bytes = self._limits().max_mb * 2**20
            data = await asyncio.to_thread(shared.get, digest, max_bytes)
            if data is None:
                return False
            try:
                await self._take(data, digest=digest, max_bytes=max_bytes, device=device)
            except InvalidPackage as error:
                log.warning("what another companion shared as %s is not used: %s", digest, error)
                await asyncio.to_thread(shared.discard, digest)
                return False
            log.info("had %s from another companion", digest)
            return True

    async def _keep(self, data: bytes | bytearray, *, digest: str, max_bytes: int, device: str | None) -> None:
        package = await asyncio.to_thread(self._store.receive, memoryview(data), digest=digest, max_bytes=max_bytes)
        try:
            await self._held(digest, device)
        except InvalidPackage:
            await asyncio.to_thread(self._store.discard, package)
            raise

    @asynccontextmanager
    async def _room_for(self, digest: str, new: PushedPackage) -> AsyncIterator[None]:
        async with self._making_room:
            while chosen := to_delete([*await self._kept(), *self._coming.values()], new, self._limits()):
                for package in chosen:
                    await self._delete(package)
            self._coming[digest] = new
        try:
            yield
        finally:
            del self._coming[digest]

    async def _delete(self, package: Package) -> None:
        async with self._alone(package.digest):
            # A request may have begun to use it meanwhile.
            if not self._is_busy(package):
                self._unload(package.digest)
                await asyncio.to_thread(self._store.discard, package)
                log.info("%s made room for another package: %s", package.manifest.name, package.digest)

    async def _kept(self) -> list[PushedPackage]:
        """The pushed packages, least recently used first. Those that are not loaded count as the oldest."""
        pushed = await asyncio.to_thread(
            lambda: [(each, each.nbytes, self._store.devices(each)) for each in self._store.pushed()]
        )
        order = {digest: place for place, digest in enumerate(self._by_digest)}
        pushed.sort(key=lambda each: order.get(each[0].digest, -1))
        return [
            PushedPackage(package=package, nbytes=nbytes, devices=devices, busy=self._is_busy(package))
            for package, nbytes, devices in pushed
            if package.digest not in self._coming
        ]

    def _is_busy(self, package: Package) -> bool:
        model = self._by_digest.get(package.digest)
        return model is not None and model.lent.users > 0

    @asynccontextmanager
    async def _alone(self, what: str) -> AsyncIterator[None]:
        """Around work on `what`, which only one task may do at a time."""
        lock = self._locks.setdefault(what, asyncio.Lock())
        async with lock:
            yield

    async def _held(self, digest: str, device: str | None) -> None:
        """Load a package once, however many ask for it; finished even if nobody waits any longer."""
        await asyncio.shield(self._load(digest, device))

    async def _load(self, digest: str, device: str | None) -> None:
        async with self._loads.held(device), self._alone(digest):
            if digest not in self._by_digest:
                package = await asyncio.to_thread(self._store.by_digest, digest)
                model = await asyncio.to_thread(self._loaded, package)
                provider = self._engine.providers(model.keys[Precision.FP32])[0]
                log.info("loaded %s, %s, on %s", package.manifest.name, digest, provider)
                await self._note_use(model, device)
                self._by_digest[digest] = model
                self._unload_excess(model)

    async def _note_use(self, model: CloudModel, device: str | None) -> None:
        """Note each device once while the model is loaded: noting every request would wear the disk out."""
        model.devices.add(device)
        if self._store.is_pushed(model.package):
            await asyncio.to_thread(self._store.used, model.package, device)

    def _loaded(self, package: Package) -> CloudModel:
        """The model with its session built: only that shows whether the runtime takes the graph."""
        model, manifest = CloudModel(package, package.networks()), package.manifest
        for precision, key in list(model.keys.items()):
            self._engine.add(key, model.networks[precision], providers=self._providers.of(package, precision))
            try:
                self._engine.prepare(key, manifest.input_names, manifest.output_names)
            except EngineError as error:
                self._engine.remove(key)
                if precision == Precision.FP32:
                    raise InvalidPackage(f"{manifest.name} does not run on the companion: {error}") from error
                log.warning("%s does not run in %s on the companion: %s", manifest.name, precision, error)
                model.leave_out(precision)
        if (reduced := self._providers.reduced(package)) is not None:
            self._offer(model, reduced)
        return model

    def _offer(self, model: CloudModel, reduced: Reduced) -> None:
        manifest, precision = model.manifest, reduced.precision
        key = other_key(model.keys[Precision.FP32], precision)
        self._engine.add_reduced(key, model.network, provider=reduced.provider, precision=precision)
        try:
            self._engine.prepare(key, manifest.input_names, manifest.output_names)
        except EngineError as error:
            self._engine.remove(key)
            log.warning("%s is not offered in %s: %s", manifest.name, precision, error)
        else:
            model.offer(reduced, key)
            log.info("%s is offered in %s too, by %s", manifest.name, precision, reduced.provider)

    def give_up(self, model: CloudModel, precision: Precision, reason: str) -> None:
        """Compute in fp32, until the package is loaded again, what is asked for in this reduced precision."""
        if precision not in model.keys:
            return
        log.warning("%s is no longer computed in %s: %s", model.manifest.name, precision, reason)
        key = model.keys[precision]
        model.give_up(precision, reason)
        self._engine.remove(key)

    def _unload_excess(self, newest: CloudModel) -> None:
        pushed = [model for model in self.loaded if self._store.is_pushed(model.package)]
        loaded = [
            PushedPackage(
                package=model.package,
                nbytes=model.weight_bytes,
                devices=_named(*model.devices),
                busy=model is newest or self._is_busy(model.package),
            )
            for model in pushed
        ]
        for package in to_unload(loaded, _named(*newest.devices), self._limits()):
            self._unload(package.digest)
            log.info("unloaded %s, %s", package.manifest.name, package.digest)

    def _unload(self, digest: str) -> None:
        model = self._by_digest.pop(digest, None)
        if model is not None:
            model.lent.retire(lambda: self._forget(model))
            self._by_name = {name: other for name, other in self._by_name.items() if other is not model}

    def _forget(self, model: CloudModel) -> None:
        for key in model.keys.values():
            self._engine.remove(key)


def _named(*devices: str | None) -> frozenset[str]:
    """The devices that have a name; one without a name owns no package."""
    return frozenset(device for device in devices if device)
