"""Puts cores together; what two of them have in common stays open from one to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiohttp

from collabd.config import Cloud, DeviceConfig, Energy, Failover, Link, Loaded
from collabd.device.companion import Companion
from collabd.device.connections import Connections
from collabd.device.core import Core, Machinery
from collabd.device.exchange import Response
from collabd.device.kept import Kept
from collabd.device.keys import CloudKeys, read_keys
from collabd.device.models import Models
from collabd.device.senses import Senses
from collabd.device.watcher import Watcher
from collabd.lifecycle import background

_Settings: TypeAlias = tuple[Cloud, Link, Failover, CloudKeys]

# A companion that is there answers within a few round trips.
_ACQUAINTED_S = 3.0
_ROUND_S = 0.05


class Assembly:
    """The companions and senses of the cores that it made. `root` is where /proc and /sys are."""

    def __init__(self, machinery: Machinery, root: Path) -> None:
        self._machinery = machinery
        self._companions: Kept[_Settings, Companion] = Kept(self._companion)
        self._senses: Kept[Energy, Senses] = Kept(partial(_sensing, root=root))
        # What each core holds of them.
        self._held: dict[Core, AsyncExitStack] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def core(self, loaded: Loaded[DeviceConfig], before: Core | None = None) -> Core:
        """The core of a configuration, in succession to `before`, whose companions it keeps where it can.

        Raises `KeyProblem`.
        """
        config = loaded.config
        async with AsyncExitStack() as held:
            companions = [
                await held.enter_async_context(self._companions.held(settings)) for settings in _settings(config)
            ]
            senses = await held.enter_async_context(self._senses.held(config.energy))
            core = Core(loaded, self._machinery, companions, senses, before)
            if before is not None:
                await self._make_acquaintance(set(companions) - set(before.companions))
            self._held[core] = held.pop_all()
        return core

    def retire(self, core: Core) -> None:
        """It gets no more calls: when its last one has ended, close what only it needed."""
        retiring = asyncio.create_task(self._retired(core))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Close everything, whoever uses it."""
        for retiring in self._retiring:
            retiring.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for held in self._held.values():
            await held.aclose()

    async def _retired(self, core: Core) -> None:
        await core.end_of_calls()
        await self._held.pop(core).aclose()

    async def _make_acquaintance(self, companions: Collection[Companion]) -> None:
        """Wait until calls can use them, so that none has to do without; but not for one that does not answer."""
        models = self._machinery.models
        for _ in range(round(_ACQUAINTED_S / _ROUND_S)):
            if all(_is_known(companion, models) for companion in companions):
                return
            await asyncio.sleep(_ROUND_S)

    @asynccontextmanager
    async def _companion(self, settings: _Settings) -> AsyncIterator[Companion]:
        cloud, link, failover, keys = settings
        async with Connections(partial(_session, failover, keys)) as connections:
            companion = Companion(cloud, link, failover, connections)
            watcher = Watcher(companion, link, self._machinery.models.packages)
            async with background(f"watching {companion.name}", watcher.run, companion.give_up):
                yield companion


def _session(failover: Failover, keys: CloudKeys) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=failover.connect_timeout_s)
    # Connections outlive the pauses between calls: a new one costs a round trip.
    connector = aiohttp.TCPConnector(keepalive_timeout=60, ssl=keys.tls)
    return aiohttp.ClientSession(timeout=timeout, connector=connector, response_class=Response, headers=keys.headers)


def _settings(config: DeviceConfig) -> list[_Settings]:
    return [(cloud, config.link, config.failover, read_keys(cloud)) for cloud in config.clouds]


def _is_known(companion: Companion, models: Models) -> bool:
    return companion.is_up() and all(model.digest in companion.profiles for model in models)


@asynccontextmanager
async def _sensing(energy: Energy, root: Path) -> AsyncIterator[Senses]:
    # In a thread, since the firmware of a Pi may take its time to answer.
    senses = await asyncio.to_thread(Senses, energy, root)
    async with background("sensing", senses.run, senses.give_up):
        yield senses
