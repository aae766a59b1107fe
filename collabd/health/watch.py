"""Looks after the health of a daemon in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from collabd.clock import MONOTONIC, Clock
from collabd.health.conditions import Sighting
from collabd.health.telling import tell
from collabd.health.tracker import HealthTracker

log = logging.getLogger(__name__)

# What one sense sees now.
Sense: TypeAlias = Callable[[], Iterator[Sighting]]


@dataclass(frozen=True, kw_only=True)
class HealthPace:
    """How often a daemon looks, in seconds, and the clock by which conditions last.

    `often_s`: at what it knows anyway. `seldom_s`, by that clock: at files, in a thread, since disks may be slow.
    """

    often_s: float = 5.0
    seldom_s: float = 60.0
    clock: Clock = MONOTONIC


USUAL_PACE = HealthPace()


class HealthWatch:
    """Asks all senses, and tells the journal what changes.

    `senses` are asked in the event loop, those of `files` in a thread.
    """

    def __init__(
        self, tracker: HealthTracker, senses: Sequence[Sense], files: Sequence[Sense], *, pace: HealthPace
    ) -> None:
        self._tracker = tracker
        self._senses = senses
        self._files = files
        self._pace = pace
        self._in_files: list[Sighting] = []
        self._failed: set[Sense] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        files_at = self._pace.clock()
        while True:
            if self._pace.clock() >= files_at:
                self._in_files = await asyncio.to_thread(self._seen, self._files)
                files_at = self._pace.clock() + self._pace.seldom_s
            self._look()
            await asyncio.sleep(self._pace.often_s)

    def _look(self) -> None:
        for change in self._tracker.look([*self._in_files, *self._seen(self._senses)]):
            tell(change)

    def _seen(self, senses: Sequence[Sense]) -> list[Sighting]:
        """What these senses see. One that fails sees nothing, and the journal says so once."""
        seen: list[Sighting] = []
        for sense in senses:
            try:
                seen += sense()
            except Exception:
                if sense not in self._failed:
                    self._failed.add(sense)
                    log.exception("a part of the daemon's health is not watched")
            else:
                self._failed.discard(sense)
        return seen
