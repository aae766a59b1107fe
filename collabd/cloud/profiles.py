"""How fast packages run on this machine: measured once each, between requests, and kept over restarts."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from collab_sdk.errors import InvalidPackage
from collabd.cloud.model import Model
from collabd.engine import Engine
from collabd.profiling import machine, stored, timing
from collabd.profiling.profile import Profile

log = logging.getLogger(__name__)

# A stored profile is read well within this, so that the first to ask need not ask again.
_PATIENCE_S = 0.2
# Packages come and go.
_REMEMBERED = 100


class Profiles:
    """Profiles by digest. Measuring runs on `lane`, in pieces, so that requests get their turn in between."""

    def __init__(self, engine: Engine, lane: Executor, directory: Path) -> None:
        self._engine = engine
        self._lane = lane
        self._directory = directory
        self._tasks: dict[str, asyncio.Task[Profile]] = {}

    async def get(self, model: Model) -> Profile | None:
        """The profile of `model`, which is lent to the caller; None while it is being measured.

        Raises `InvalidPackage` if that failed.
        """
        for digest in [digest for digest, task in self._tasks.items() if task.done()][:-_REMEMBERED]:
            del self._tasks[digest]  # it is read from the disk again
        if model.digest not in self._tasks:
            self._tasks[model.digest] = asyncio.create_task(self._learn(model))
        task = self._tasks[model.digest]
        await asyncio.wait([task], timeout=_PATIENCE_S)
        if not task.done():
            return None
        if error := task.exception():
            raise InvalidPackage(f"{model.manifest.name} cannot be measured here: {error}")
        return task.result()

    async def close(self) -> None:
        """Stop measuring."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _learn(self, model: Model) -> Profile:
        load = partial(stored.load, model.digest, machine.describe(), self._engine.threads, self._directory)
        with model.lent.in_use():
            profile = await asyncio.to_thread(load)
            return profile if profile and profile.is_complete(model.manifest) else await self._measure(model)

    async def _measure(self, model: Model) -> Profile:
        profile = await self._timed(model)
        try:
            await asyncio.to_thread(stored.save, profile, self._directory)
        except OSError as error:
            log.warning("the profile of %s is not kept over a restart: %s", model.manifest.name, error)
        return profile

    async def _timed(self, model: Model) -> Profile:
        log.info("measuring %s", model.manifest.name)
        pieces = timing.steps(model.package, self._engine, key=model.key)
        loop = asyncio.get_running_loop()
        try:
            while (profile := await loop.run_in_executor(self._lane, timing.advance, pieces)) is None:
                pass
        except Exception:
            log.exception("measuring %s failed", model.manifest.name)
            raise
        log.info("measured %s: %.1f ms whole", model.manifest.name, profile.whole_ms)
        return profile
