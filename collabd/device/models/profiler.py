"""Measures the models that have no profile yet, in the pauses between calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from collab_sdk.vocabulary import Precision
from collabd.device.lane.lane import Lane
from collabd.device.models.loaded import LoadedModels
from collabd.device.models.model import DeviceModel
from collabd.engine import Engine
from collabd.limits.cores import usable_cores
from collabd.profiling import machine, stored
from collabd.profiling.profile import Profile
from collabd.profiling.timing import advance, steps

log = logging.getLogger(__name__)

# Of so many runs the fastest counts, since other work only ever makes a run slower.
_RUNS = 5
# More threads take cores from the rest of the machine, and must be worth it.
_HARDLY = 1.05


class Profiler:
    """A background task: for each model it loads the stored profile, or measures a profile in steps and stores it.

    `threads`: how many a run uses; 0: for each network as many as make it fastest on this machine.
    """

    def __init__(self, models: LoadedModels, engine: Engine, lane: Lane, *, threads: int, directory: Path) -> None:
        self._models = models
        self._engine = engine
        self._lane = lane
        self._threads = threads
        self._directory = directory
        self._failed: set[str] = set()

    async def load_stored(self) -> None:
        """Give each model its stored profile, if there is one."""
        for model in self._models:
            if model.profile is None:
                here = machine.describe(provider=self._engine.providers(model.keys[Precision.FP32])[0])
                profile = stored.load(model.digest, here, threads=self._threads, directory=self._directory)
                if profile is not None and profile.is_complete(model.manifest, tuple(model.networks)):
                    await self._adopt(model, profile)

    async def run(self) -> None:
        """Profile the models that have no profile, until cancelled."""
        while True:
            self._models.new.clear()
            await self._try_all()
            await self._models.new.wait()

    async def _try_all(self) -> None:
        await self.load_stored()
        self._failed &= {model.digest for model in self._models}
        for model in self._models:
            if model.profile is None and model.digest not in self._failed:
                await self._try(model)

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
        engine = Engine(threads=self._threads or await self._fastest(model), cache_bytes=0)
        for precision, key in model.keys.items():
            engine.add(key, model.networks[precision], providers=self._engine.providers(key))
        pieces = steps(model.package, model.networks, engine, keys=model.keys)
        # Run one step at a time, so that a call which arrives meanwhile waits for one step at most.
        while (profile := await self._lane.prepare(lambda: advance(pieces))) is None:
            pass
        await self._adopt(model, profile)
        log.info(
            "profiled %s: the whole network takes %.1f ms with %d threads, %d cuts",
            model.manifest.name,
            profile.whole_ms,
            profile.threads,
            len(profile.cuts),
        )
        try:
            await asyncio.to_thread(stored.save, profile, self._directory, threads=self._threads)
        except OSError as error:
            log.warning("cannot keep the profile of %s over a restart: %s", model.manifest.name, error)

    async def _fastest(self, model: DeviceModel) -> int:
        """The number of threads with which the whole network is fastest here in fp32."""
        whole = partial(_whole, model)
        seconds = {}
        for threads in thread_counts(usable_cores()):
            # One session at a time, since each has its own copy of some weights.
            engine = Engine(threads=threads, cache_bytes=0)
            key = model.keys[Precision.FP32]
            engine.add(key, model.network, providers=self._engine.providers(key))
            await self._lane.prepare(partial(whole, engine))
            seconds[threads] = min([await self._lane.prepare(partial(whole, engine)) for _ in range(_RUNS)])
        return fewest_of_the_fastest(seconds)

    async def _adopt(self, model: DeviceModel, profile: Profile) -> None:
        """Run `model` as it was measured, from now on."""
        if profile.threads != self._engine.threads:
            for key in model.keys.values():
                self._engine.use_threads(key, profile.threads)
                # The next call is not to wait for the session.
                names = model.inputs, model.outputs
                await self._lane.prepare(partial(self._engine.prepare, key, *names))
        model.take_profile(profile)


def thread_counts(cores: int) -> list[int]:
    """The numbers of threads that are worth a try: all up to four, then the powers of two, and all cores."""
    return sorted({count for count in (1, 2, 3, 4, *(2**power for power in range(3, 9)), cores) if count <= cores})


def fewest_of_the_fastest(seconds: Mapping[int, float]) -> int:
    """Of the numbers of threads, for which a run takes these seconds: the least that costs hardly any time."""
    return min(threads for threads, taken in seconds.items() if taken <= _HARDLY * min(seconds.values()))


def _whole(model: DeviceModel, engine: Engine) -> float:
    """The seconds of one run of the whole network."""
    start = time.perf_counter()
    engine.run(model.keys[Precision.FP32], model.blank, model.outputs)
    return time.perf_counter() - start
