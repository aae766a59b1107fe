"""Where the companion of a name is now, if it is no longer where the configuration says.

Who is lost is looked for in the local network, where companions may announce themselves. An announcement is only a
hint. The companion proves itself before anything is sent to it: its certificate has to come from the authority that the
device has pinned, and be for the host that the configuration names, wherever the companion listens now.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from collabd.device.companions.connection import Address, CompanionConnection
from collabd.device.companions.place import CompanionPlace
from collabd.discovery.announcement import Announcement
from collabd.discovery.machine import Network, own_networks

log = logging.getLogger(__name__)

# Who is there answers the first question within this time.
_ANSWERS_S = 2.0
# So many addresses are tried at once. Strangers may announce any number.
_MOST = 16
# So many strangers are told of.
_MOST_TOLD = 64


class HearsAnnouncements(Protocol):
    """Hears announcements, and forgets those that no longer hold."""

    async def heard(self) -> list[Announcement]:
        """Those that hold now."""


class Whereabouts:
    """Of the companion `name`, which is asked at `place`.

    `authorities`: who may have issued its certificate, as announcements name them. `dial` makes a connection, and
    checks the other side. `listen` raises `Exception` where this machine cannot hear announcements. Only addresses in
    `networks` are tried: nobody is to send the device elsewhere.
    """

    def __init__(
        self,
        name: str,
        place: CompanionPlace,
        authorities: frozenset[str],
        *,
        dial: Callable[[Address], Awaitable[CompanionConnection]],
        listen: Callable[[], AbstractAsyncContextManager[HearsAnnouncements]],
        networks: Callable[[], Sequence[Network]] = own_networks,
        answers_s: float = _ANSWERS_S,
    ) -> None:
        self._name = name
        self._place = place
        self._authorities = authorities
        self._dial = dial
        self._listen = listen
        self._networks = networks
        self._answers_s = answers_s
        # Open as long as the companion is lost.
        self._listening = AsyncExitStack()
        self._listener: HearsAnnouncements | None = None
        self._heard_in: set[Network] = set()
        self._told: set[str] = set()

    @property
    def found_at(self) -> str | None:
        """The URL where the companion was found; None: it is asked at the one that is configured."""
        return self._place.found_at

    async def look(self) -> bool:
        """Look for the companion, which does not answer where it is asked. Returns whether it is at another place."""
        candidates = [self._place.home, *await self._announced()]
        others = list(dict.fromkeys(_at(each, self._place.home) for each in candidates))
        tried = [each for each in others if each != self._place.now][:_MOST]
        proven = await asyncio.gather(*(self._proves_itself(each) for each in tried))
        found = next((address for address, right in zip(tried, proven, strict=True) if right), None)
        if found is not None:
            self._place.now = found
        return found is not None

    async def rest(self) -> None:
        """The companion answers: listen no longer."""
        self._listener = None
        await self._listening.aclose()

    async def _announced(self) -> list[Address]:
        try:
            networks = self._networks()
            if self._listener is None or {*networks} != self._heard_in:
                # Who listens hears the networks that there were when it began, and this machine may have moved.
                await self.rest()
                self._listener = await self._listening.enter_async_context(self._listen())
                self._heard_in = {*networks}
                await asyncio.sleep(self._answers_s)
            return addresses(await self._listener.heard(), self._authorities, networks)
        except Exception as error:  # noqa: BLE001  whatever fails in it, the device only does not find the companion
            self._tell(f"cannot look for {self._name} in the local network: {error}")
            return []

    async def _proves_itself(self, address: Address) -> bool:
        try:
            connection = await self._dial(address)
        except ssl.SSLCertVerificationError as error:
            self._tell(
                f"what answers at {address.host}, port {address.port}, announces itself as {self._name} and is not: "
                f"{error.verify_message}"
            )
            return False
        except (OSError, TimeoutError):
            return False
        connection.abort()
        return True

    def _tell(self, what: str) -> None:
        if what not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(what)
            log.warning("%s", what)


def addresses(
    announced: Iterable[Announcement], authorities: frozenset[str], networks: Sequence[Network]
) -> list[Address]:
    """Where those listen that say that one of the authorities vouches for them, if it is in one of the networks."""
    return [
        Address(host, each.port, tls=True)
        for each in announced
        if each.secured and each.authority in authorities
        for host in each.addresses
        if any(ipaddress.ip_address(host) in network for network in networks)
    ]


def _at(address: Address, home: Address) -> Address:
    """The address, where whoever answers has to be the one that is configured for `home`."""
    return address if address == home else Address(address.host, address.port, tls=True, certified=home.host)
