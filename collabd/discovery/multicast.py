"""A place in the multicast DNS of the networks that this machine is in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from zeroconf import Error, IPVersion, Zeroconf
from zeroconf.asyncio import AsyncZeroconf

# To say good-bye takes a quarter of a second.
_CLOSE_S = 3.0
# A cable that is pulled is no news of ours: who announces or looks says what does not work.
logging.getLogger("zeroconf").setLevel(logging.CRITICAL)


class NoMulticast(Exception):
    """This machine cannot take part; the message says why."""


@asynccontextmanager
async def multicast() -> AsyncIterator[AsyncZeroconf]:
    """Take part until the context is left: what was announced is then withdrawn. Raises `NoMulticast`."""
    zeroconf = AsyncZeroconf(zc=_opened())
    try:
        yield zeroconf
    finally:
        with suppress(TimeoutError, OSError, Error):
            async with asyncio.timeout(_CLOSE_S):
                await zeroconf.async_close()


def _opened() -> Zeroconf:
    try:
        return Zeroconf(ip_version=IPVersion.All)
    except (OSError, RuntimeError):
        # A kernel without IPv6.
        try:
            return Zeroconf(ip_version=IPVersion.V4Only)
        except (OSError, RuntimeError) as error:
            raise NoMulticast(str(error)) from error
