"""How fast packages run on this machine: measured once each, between requests, and kept over restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from collab_sdk.errors import InvalidPackage, UnknownPackage
from collab_sdk.vocabulary import Precision, Provider
from collabd.cloud.lanes import Lanes
from collabd.cloud.models.model import CloudModel
from collabd.engine import Engine, EngineError
from collabd.fair_shares import FairShares
from collabd.profiling import machine, stored, timing
from collabd.profiling.profile import Profile

log = logging.getLogger(__name__)

# A request waits for a profile so long. Reading a stored one takes less, so the device need not ask again.
_PATIENCE_S = 0.2
# How many finished tasks are remembered; packages come and go.
_REMEMBERED = 100
# How many devices may have a package measured at the same time.
_DEVICES = 8

# A digest, what computes and in which precisions: times are others when one of these was given up.
_Measured: TypeAlias = tuple[str, Provider, tuple[Precision, ...]]
K = TypeVar("K")


class Profiles:
    """Profiles by digest: how fast a run is that has all cores. Measuring goes in pieces, and requests run in between.

    A piece runs in one of `lanes` while the others rest. There is never more than one, so a request waits for one at
    most. One package of each device is measured at a time, and the devices take turns, so none waits for all packages
    of another.
    """

    def __init__(
        self,
        engine: Engine,
        lanes: Lanes,
        *,
        directory: Path,
        find: Callable[[str], Awaitable[CloudModel]],
        give_up: Callable[[CloudModel, Precision, str], None],
    ) -> None:
        """`find`: a model by its digest. `give_up`: a reduced precision of a model that cannot be run, and why."""
        self._engine = engine
        self._lanes = lanes
        self._directory = directory
        self._find = find
        self._give_up = give_up
        # By what is measured and device: the same package may have to wait longer in the turn of another device.
        self._asked: dict[tuple[_Measured, str | None], asyncio.Task[Profile]] = {}
        self._measured: dict[_Measured, asyncio.Task[Profile]] = {}
        self._measuring = FairShares(_DEVICES, 1)
        self._pieces = FairShares(1, 1)

    async def get(self, model: CloudModel, device: str | None) -> Profile | None:
        """The profile of `model`; None while it is being measured. Raises `InvalidPackage` if that failed."""
        what = model.digest, self._provider(model), tuple(model.networks)
        task = self._measured.get(what)
        if task is None or not task.done() or _is_gone(task):
            learn = partial(self._learn, model, device)
            task = self._begun(self._asked, (what, device), learn)
        await asyncio.wait([task], timeout=_PATIENCE_S)
        if not task.done():
            return None
        if error := task.exception():
            raise InvalidPackage(f"{model.manifest.name} cannot be measured on the companion: {error}")
        return task.result()

    async def close(self) -> None:
        """Stop measuring."""
        tasks = [*self._asked.values(), *self._measured.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _begun(
        tasks: dict[K, asyncio.Task[Profile]], key: K, work: Callable[[], Coroutine[Any, Any, Profile]]
    ) -> asyncio.Task[Profile]:
        """The task of this key, begun now if there is none."""
        for done in [known for known, task in tasks.items() if task.done()][:-_REMEMBERED]:
            del tasks[done]  # its profile is read from the disk when it is asked for again
        if key not in tasks or _is_gone(tasks[key]):
            tasks[key] = asyncio.create_task(work())
        return tasks[key]

    def _provider(self, model: CloudModel) -> Provider:
        """What computes it now."""
        return self._engine.providers(model.keys[Precision.FP32])[0]

    async def _learn(self, model: CloudModel, device: str | None) -> Profile:
        # The task does not keep the model, which may be unloaded meanwhile.
        digest, manifest, precisions = model.digest, model.manifest, tuple(model.networks)
        here = machine.describe(provider=self._provider(model))
        del model
        load = partial(stored.load, digest, here, threads=self._engine.threads, directory=self._directory)
        profile = await asyncio.to_thread(load)
        if profile and profile.is_complete(manifest, precisions):
            return profile
        async with self._measuring.held(device):
            task = self._begun(
                self._measured, (digest, here.provider, precisions), partial(self._measure, digest, device)
            )
            return await asyncio.shield(task)

    async def _measure(self, digest: str, device: str | None) -> Profile:
        # The package may have been unloaded while it waited for its turn.
        model = await self._find(digest)
        with model.lent.in_use():
            profile = await self._timed_at_last(model, device)
        try:
            await asyncio.to_thread(stored.save, profile, self._directory, threads=profile.threads)
        except OSError as error:
            log.warning("cannot keep the profile of %s over a restart: %s", model.manifest.name, error)
        return profile

    async def _timed_at_last(self, model: CloudModel, device: str | None) -> Profile:
        """The profile; without the reduced precision if that cannot be run."""
        if (reduced := model.reduced) is not None:
            try:
                return await self._timed(model, device)
            except EngineError as error:
                self._give_up(model, reduced.precision, str(error))
        return await self._timed(model, device)

    async def _timed(self, model: CloudModel, device: str | None) -> Profile:
        log.info("measuring %s", model.manifest.name)
        # What is given up meanwhile fails, and all is measured anew.
        networks, keys = dict(model.networks), dict(model.keys)
        counted = None if model.reduced is None else model.reduced.agreement
        pieces = timing.steps(model.package, networks, self._engine, keys=keys, bf16_agreement=counted)
        try:
            while (profile := await self._next(pieces, device)) is None:
                pass
        except Exception:
            log.exception("measuring %s failed", model.manifest.name)
            raise
        log.info("measured %s: the whole network takes %.1f ms", model.manifest.name, profile.whole_ms)
        return profile

    async def _next(self, pieces: Generator[None, None, Profile], device: str | None) -> Profile | None:
        async with self._pieces.held(device):
            return await self._lanes.alone(partial(timing.advance, pieces))


def _is_gone(task: asyncio.Task[Profile]) -> bool:
    """Whether the package had been deleted when its turn came."""
    return task.done() and not task.cancelled() and isinstance(task.exception(), UnknownPackage)
