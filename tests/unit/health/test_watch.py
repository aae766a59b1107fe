"""A daemon looks after itself in the background: the journal hears of each change once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from collabd.health.conditions import Code, Sighting
from collabd.health.telling import HEALTH_CLEARED, HEALTH_RAISED, tell
from collabd.health.tracker import Change, HealthTracker
from collabd.health.watch import HealthPace, HealthWatch, Sense
from collabd.lifecycle import background
from tests.patience import PATIENCE_S

DOOR = Sighting(code=Code.DOOR_REFUSED, about="oip at :1", what="the door oip at :1 is not open: in use")


def events(heard: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.journal_fields for record in heard.records if hasattr(record, "journal_fields")]


class Watched:
    """A daemon that looks a hundred times a second."""

    def __init__(self, *senses: Sense, files: tuple[Sense, ...] = ()) -> None:
        self._left, self._done = 0, asyncio.Event()
        pace = HealthPace(often_s=0.01, seldom_s=0.02)
        self.tracker = HealthTracker(pace.clock)
        self.watch = HealthWatch(self.tracker, (self._count, *senses), files, pace=pace)

    def _count(self) -> Iterator[Sighting]:
        self._left -= 1
        if self._left <= 0:
            self._done.set()
        yield from ()

    async def looks_for(self, times: int) -> None:
        self._left = times
        self._done.clear()
        async with background("watching", self.watch.run), asyncio.timeout(PATIENCE_S):
            await self._done.wait()

    @property
    def stands(self) -> list[str]:
        return [each["code"] for each in self.tracker.report()]


async def test_the_journal_hears_once_that_a_condition_began_and_once_that_it_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    seen = [DOOR]
    it = Watched(lambda: iter(seen))
    await it.looks_for(5)
    assert it.stands == ["door-refused"]
    seen.clear()
    await it.looks_for(5)
    assert it.stands == []
    assert [(each["MESSAGE_ID"], each["COLLABD_CODE"], each["COLLABD_ABOUT"]) for each in events(caplog)] == [
        (HEALTH_RAISED, "door-refused", "oip at :1"),
        (HEALTH_CLEARED, "door-refused", "oip at :1"),
    ]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
    assert caplog.messages[0].startswith("door-refused: the door oip at :1 is not open: in use (See what listens")


@pytest.mark.parametrize("code", [Code.COMPANION_LOST, Code.THROTTLED, Code.UNDER_VOLTAGE, Code.FIDELITY_DRIFTED])
def test_what_another_event_says_is_not_said_twice(code: Code, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    tracker = HealthTracker(lambda: now)
    changes: list[Change] = []
    for now in (0.0, 20.0):  # noqa: B007  the tracker's clock
        changes += tracker.look([Sighting(code=code, what="it is so")])
    assert [change.raised for change in changes] == [True]
    for change in changes:
        tell(change)
    assert caplog.records == []


async def test_a_sense_that_fails_sees_nothing_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[Sighting]:
        raise OSError("no such sensor")

    it = Watched(broken, lambda: iter([DOOR]))
    await it.looks_for(5)
    assert it.stands == ["door-refused"]
    assert [record.message for record in caplog.records if record.exc_info] == [
        "a part of the daemon's health is not watched"
    ]


async def test_what_is_seen_in_files_stands_between_two_looks_at_them() -> None:
    it = Watched(files=(lambda: iter([Sighting(code=Code.DISK_FULL, what="full")]),))
    await it.looks_for(6)
    assert it.stands == ["disk-full"]
