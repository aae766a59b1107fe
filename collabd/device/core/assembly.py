"""Assembles generations. A companion or a sense that two generations share stays open from the first to the second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias

from collabd.config import CloudSettings, DeviceConfig, EnergySettings, FailoverSettings, LinkSettings, Loaded
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.companions.credentials import CloudKeys, authorities_of, read_keys
from collabd.device.companions.http_exchange import HttpExchange
from collabd.device.companions.place import CompanionPlace
from collabd.device.companions.watcher import Watcher
from collabd.device.companions.whereabouts import Whereabouts
from collabd.device.core.generation import Generation, Machinery
from collabd.device.core.reuse import Reused
from collabd.device.models.loaded import LoadedModels
from collabd.device.senses import Senses
from collabd.discovery.package import MISSING, is_installed
from collabd.lifecycle import background, do_without
from collabd.sensing.sensed_machine import SensedMachine

log = logging.getLogger(__name__)

_Settings: TypeAlias = tuple[CloudSettings, LinkSettings, FailoverSettings, CloudKeys]

# A new companion has 3 s to answer. One that is there needs only a few round trips.
_ACQUAINTED_S = 3.0
_ROUND_S = 0.05


class Assembly:
    """Makes generations, and owns their companions and senses. The senses read `machine`."""

    def __init__(self, machinery: Machinery, machine: SensedMachine) -> None:
        self._machinery = machinery
        self._companions: Reused[_Settings, Companion] = Reused(self._companion)
        self._senses: Reused[EnergySettings, Senses] = Reused(partial(_sensing, machine=machine))
        # For each generation: what it holds, to be closed with it.
        self._held: dict[Generation, AsyncExitStack] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def generation(self, loaded: Loaded[DeviceConfig], before: Generation | None = None) -> Generation:
        """Make the generation of a configuration. It takes over the companions of `before` that have the same settings.

        Raises `KeyProblem`.
        """
        config = loaded.config
        async with AsyncExitStack() as held:
            companions = [
                await held.enter_async_context(self._companions.held(settings)) for settings in _settings(config)
            ]
            senses = await held.enter_async_context(self._senses.held(config.energy))
            generation = Generation(loaded, self._machinery, companions=companions, senses=senses)
            await held.enter_async_context(background("building sessions ahead", generation.ahead.run, do_without))
            if generation.auditor is not None:
                await held.enter_async_context(background("auditing", generation.auditor.run, do_without))
            if before is not None:
                await self._make_acquaintance(set(companions) - set(before.companions))
            self._held[generation] = held.pop_all()
        return generation

    def retire(self, generation: Generation) -> None:
        """Close what only this generation holds, as soon as its last call has ended. It must get no new calls."""
        generation.calls.retire(partial(self._let_go, generation))

    async def close(self) -> None:
        """Close everything now, even if calls still use it."""
        for generation in list(self._held):
            self._let_go(generation)
        await asyncio.gather(*self._closing)

    def _let_go(self, generation: Generation) -> None:
        # None: `close` has closed this generation already.
        if (held := self._held.pop(generation, None)) is not None:
            closing = asyncio.create_task(held.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _make_acquaintance(self, companions: Collection[Companion]) -> None:
        """Wait until calls can use the companions, but at most 3 s."""
        models = self._machinery.models
        for _ in range(round(_ACQUAINTED_S / _ROUND_S)):
            if all(_is_known(companion, models) for companion in companions):
                return
            await asyncio.sleep(_ROUND_S)

    @asynccontextmanager
    async def _companion(self, settings: _Settings) -> AsyncIterator[Companion]:
        cloud, link, failover, keys = settings
        clock = self._machinery.clock
        dial = Dialler(failover.connect_timeout_s, keys.tls)
        async with Connections(dial, clock=clock) as connections:
            exchange = HttpExchange(cloud.name, cloud.url, connections, headers=dict(keys.headers), clock=clock)
            companion = Companion(cloud, link, failover, exchange=exchange, clock=clock)
            watcher = Watcher(
                companion, link, self._machinery.models.packages, whereabouts=_whereabouts(cloud, exchange.place, dial)
            )
            async with background(f"watching {companion.name}", watcher.run, companion.give_up):
                yield companion


def _settings(config: DeviceConfig) -> list[_Settings]:
    return [(cloud, config.link, config.failover, read_keys(cloud)) for cloud in config.clouds]


def _whereabouts(cloud: CloudSettings, place: CompanionPlace, dial: Dialler) -> Whereabouts | None:
    """Where the companion may be found again, if the configuration wants that and this machine can."""
    if not cloud.follow:
        return None
    if not is_installed():
        log.error("%s is not looked for when it is lost: follow %s", cloud.name, MISSING)
        return None
    from collabd.discovery.listener import listening  # noqa: PLC0415  an extra

    return Whereabouts(cloud.name, place, authorities_of(cloud), dial=dial, listen=listening)


def _is_known(companion: Companion, models: LoadedModels) -> bool:
    return companion.is_up() and all(model.digest in companion.profiles for model in models)


@asynccontextmanager
async def _sensing(energy: EnergySettings, machine: SensedMachine) -> AsyncIterator[Senses]:
    # In a thread, since the firmware of a Pi may be slow to answer.
    senses = await asyncio.to_thread(Senses, energy, machine)
    async with background("sensing", senses.run, senses.give_up):
        yield senses
