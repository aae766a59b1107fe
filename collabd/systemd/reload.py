"""Read the configuration again at SIGHUP, and put into force what can change while the daemon runs."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from collabd.config import Config, ConfigError, Loaded
from collabd.keys.files import KeyProblem
from collabd.systemd.notify import reloading

log = logging.getLogger(__name__)


class EarlyHangup:
    """Handles SIGHUP while a daemon starts, when it has read its configuration and cannot reload it yet.

    By default the signal would end the process, and systemd would take that for a wanted end.
    """

    def __init__(self) -> None:
        self.came = False

    def __call__(self, *_: object) -> None:
        """Remember that there was one."""
        self.came = True


async def reload_at_hangup(
    read: Callable[[], Loaded[Config]], apply: Callable[[Loaded[Config]], Awaitable[None]]
) -> None:
    """At each SIGHUP `read` the configuration and `apply` it, until cancelled. A bad configuration changes nothing.

    One that came while the daemon started counts (`EarlyHangup`).
    """
    asked, before = asyncio.Event(), signal.getsignal(signal.SIGHUP)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    if isinstance(before, EarlyHangup) and before.came:
        asked.set()
    while True:
        await asked.wait()
        asked.clear()
        async with reloading():
            await reload(read, apply)


async def reload(read: Callable[[], Loaded[Config]], apply: Callable[[Loaded[Config]], Awaitable[None]]) -> None:
    """`read` the configuration and `apply` it. A bad one changes nothing; the log tells what became of it."""
    try:
        await apply(read())
    except (ConfigError, KeyProblem) as error:
        log.error("the old configuration stays in force: %s", "; ".join(str(error).splitlines()))  # noqa: TRY400
    except Exception:
        log.exception("the old configuration stays in force")
    else:
        log.info("the new configuration is in force")


def merge(running: Loaded[Config], new: Loaded[Config], fixed: Sequence[str]) -> Loaded[Config]:
    """`new`, with the values of `running` for the dotted keys `fixed`, which change only at a restart.

    Logs which of these keys have another value in `new`.
    """
    before, after = (msgspec.to_builtins(loaded.config) for loaded in (running, new))
    held = []
    for key in fixed:
        *tables, name = key.split(".")
        old, values = before, after
        for table in tables:
            old, values = old[table], values[table]
        if values[name] != old[name]:
            held.append(key)
            values[name] = old[name]
    if held:
        log.warning("these settings changed, and take effect only after a restart: %s", ", ".join(held))
    given = {key for key in new.given if not _is_under(key, fixed)} | {
        key for key in running.given if _is_under(key, fixed)
    }
    return Loaded(msgspec.convert(after, type(new.config)), new.path, frozenset(given))


def _is_under(key: str, fixed: Sequence[str]) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in fixed)
