"""Measures the models that have no profile yet, in the pauses between calls."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine
from collabd.profiling import machine, stored
from collabd.profiling.timing import advance, steps

log = logging.getLogger(__name__)


class Profiler:
    """A background task: for each model it loads the stored profile, or measures a profile in steps and stores it."""

    def __init__(self, models: LoadedModels, lane: Lane, *, threads: int, directory: Path) -> None:
        self._models = models
        self._threads = threads
        self._lane = lane
        self._directory = directory
        self._failed: set[str] = set()

    def load_stored(self) -> None:
        """Give each model its stored profile, if there is one."""
        for model in self._models:
            if model.profile is None:
                profile = stored.load(
                    model.digest, machine.describe(), threads=self._threads, directory=self._directory
                )
                if profile is not None and profile.is_complete(model.manifest):
                    model.take_profile(profile)

    async def run(self) -> None:
        """Profile the models that have no profile, until cancelled."""
        while True:
            self._models.new.clear()
            self.load_stored()
            self._failed &= {model.digest for model in self._models}
            for model in self._models:
                if model.profile is None and model.digest not in self._failed:
                    await self._try(model)
            await self._models.new.wait()

    async def _try(self, model: DeviceModel) -> None:
        """Measure `model`. If that fails, its calls run on this device alone. The other models are still measured."""
        try:
            await self._measure(model)
        except Exception:
            self._failed.add(model.digest)
            log.exception("measuring %s failed: all its calls run on this device alone", model.manifest.name)

    async def _measure(self, model: DeviceModel) -> None:
        # A separate engine: in the shared one, the sessions of all cuts would displace those that calls use, and would
        # stay in memory. It holds one session at a time.
        engine = Engine(threads=self._threads, cache_bytes=0)
        engine.add(model.digest, model.network)
        pieces = steps(model.package, engine)
        # Run one step at a time, so that a call which arrives meanwhile waits for one step at most.
        while (profile := await self._lane.prepare(lambda: advance(pieces))) is None:
            pass
        model.take_profile(profile)
        log.info(
            "profiled %s: the whole network takes %.1f ms, %d cuts",
            model.manifest.name,
            profile.whole_ms,
            len(profile.cuts),
        )
        try:
            await asyncio.to_thread(stored.save, profile, self._directory)
        except OSError as error:
            log.warning("cannot keep the profile of %s over a restart: %s", model.manifest.name, error)
