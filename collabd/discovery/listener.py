"""Hears which companions announce themselves in the local network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zeroconf import DNSQuestionType, IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from collabd.discovery.announcement import SERVICE, Announcement, believed
from collabd.discovery.multicast import multicast

# Of so many at most; strangers may announce any number.
_MOST = 64
# How long one may take to tell the rest, if it first told only its name.
_DETAILS_MS = 1000


class Listener:
    """Who announces itself now."""

    def __init__(self, zeroconf: AsyncZeroconf) -> None:
        self._zeroconf = zeroconf.zeroconf
        # An ordered set.
        self._names: dict[str, None] = {}

    async def heard(self) -> list[Announcement]:
        """What was heard until now and still holds, by name."""
        found = await asyncio.gather(*(self._details(name) for name in list(self._names)))
        return sorted((each for each in found if each is not None), key=lambda each: (each.name, each.addresses))

    def note(self, *, name: str, state_change: ServiceStateChange, **_: object) -> None:
        """Called by the library."""
        if state_change is ServiceStateChange.Removed:
            self._names.pop(name, None)
        elif len(self._names) < _MOST:
            self._names[name] = None

    async def _details(self, name: str) -> Announcement | None:
        info = AsyncServiceInfo(SERVICE, name)
        if not info.load_from_cache(self._zeroconf):
            await info.async_request(self._zeroconf, _DETAILS_MS, question_type=DNSQuestionType.QM)
        return believed(info.properties, info.parsed_addresses(IPVersion.All), info.port)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Ask at once, then ever more seldom, and hear who answers or announces itself. Raises `NoMulticast`."""
    async with multicast() as zeroconf:
        listener = Listener(zeroconf)
        # Answers to all: one that is sent back to the port alone may reach another program that has the port too.
        browser = AsyncServiceBrowser(
            zeroconf.zeroconf, SERVICE, handlers=[listener.note], question_type=DNSQuestionType.QM
        )
        try:
            yield listener
        finally:
            await browser.async_cancel()
