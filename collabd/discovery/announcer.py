"""Announces a companion in the local network, anew when its addresses change, until it withdraws."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from zeroconf import Error, ServiceInfo

from collabd.discovery.announcement import SERVICE, Announcement
from collabd.discovery.multicast import NoMulticast, multicast

log = logging.getLogger(__name__)

# How often to see whether the announcement is still true.
_LOOK_S = 5.0
# The pause after a failure. Networks come up later than daemons.
_AGAIN_S = 30.0


class Announcer:
    """Announces what `describe` says. Nothing that fails here disturbs anyone: it is told once, and tried again."""

    def __init__(
        self, describe: Callable[[], Announcement], *, look_s: float = _LOOK_S, again_s: float = _AGAIN_S
    ) -> None:
        self._describe = describe
        self._look_s = look_s
        self._again_s = again_s
        # What was said last of a failure.
        self._told = ""

    async def run(self) -> None:
        """Announce until cancelled; then withdraw."""
        while True:
            try:
                said = self._describe()
                if said.addresses:
                    async with announced(said):
                        self._told = ""
                        log.info("announced as %s at %s", said.name, ", ".join(said.urls))
                        await self._until_untrue(said)
                else:
                    self._tell("not announced: other machines cannot reach this one at any address")
                    await self._until_untrue(said)
            except (NoMulticast, Error, OSError) as error:
                self._tell(f"not announced: {str(error) or type(error).__name__}; tried again until it works")
                await asyncio.sleep(self._again_s)

    async def _until_untrue(self, said: Announcement) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            if self._describe() != said:
                return

    def _tell(self, what: str) -> None:
        if what != self._told:
            log.warning("%s", what)
        self._told = what


@asynccontextmanager
async def announced(said: Announcement) -> AsyncIterator[None]:
    """Announced while the context lasts. Raises `NoMulticast`, `Error` of zeroconf, `OSError`."""
    info = ServiceInfo(
        SERVICE,
        f"{said.name}.{SERVICE}",
        port=said.port,
        properties=said.text(),
        # A name of our own for the machine: two that differ over the addresses of one name would rename one another.
        server=f"{said.name}-{secrets.token_hex(4)}.local.",
        parsed_addresses=list(said.addresses),
    )
    async with multicast() as zeroconf:
        # Another machine may have the name. It is none that anyone relies on.
        await (await zeroconf.async_register_service(info, allow_name_change=True))
        yield
