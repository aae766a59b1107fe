"""Scenarios: after so many seconds, with this in sight, these conditions stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from collabd.health.conditions import CONDITIONS, Code, Sighting
from collabd.health.tracker import HealthTracker

PC = Sighting(code=Code.COMPANION_LOST, about="pc", what="pc is gone")
LINK = Sighting(code=Code.LINK_STALE, about="pc", of="pc", what="an old link")
OTHER_LINK = Sighting(code=Code.LINK_STALE, about="server", of="server", what="an old link")
MISSES = Sighting(code=Code.DEADLINE_MISSES, about="net", what="late")
HOT = Sighting(code=Code.TOO_HOT, what="hot")
SLOW = Sighting(code=Code.THROTTLED, what="slow")
FULL = Sighting(code=Code.DISK_FULL, what="full")
DOOR = Sighting(code=Code.DOOR_REFUSED, about="oip", what="taken")


@dataclass
class Scene:
    """A daemon that looks every five seconds."""

    now: float = 100.0
    changes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracker = HealthTracker(lambda: self.now)

    def sees(self, *seen: Sighting, for_s: float) -> Scene:
        for _ in range(round(for_s / 5)):
            for change in self.tracker.look(seen):
                self.changes.append(f"{'+' if change.raised else '-'}{change.sighting.code}")
            self.now += 5
        return self

    @property
    def stands(self) -> list[str]:
        return [
            each["code"] + (f" behind {each['behind']}" if each["behind"] else "") for each in self.tracker.report()
        ]


@pytest.mark.parametrize(
    ("story", "stands"),
    [
        (lambda it: it.sees(PC, for_s=10), []),
        (lambda it: it.sees(PC, for_s=15), ["companion-lost"]),
        (lambda it: it.sees(PC, for_s=10).sees(for_s=5).sees(PC, for_s=10), []),
        (lambda it: it.sees(PC, for_s=60).sees(for_s=5), ["companion-lost"]),
        (lambda it: it.sees(PC, for_s=60).sees(for_s=10), []),
        (lambda it: it.sees(PC, for_s=60).sees(for_s=5).sees(PC, for_s=5).sees(for_s=5), ["companion-lost"]),
        (lambda it: it.sees(DOOR, for_s=5), ["door-refused"]),
        (lambda it: it.sees(DOOR, for_s=5).sees(for_s=5), []),
        (lambda it: it.sees(PC, LINK, for_s=60), ["companion-lost", "link-stale behind companion-lost"]),
        (lambda it: it.sees(LINK, for_s=60), ["link-stale"]),
        (lambda it: it.sees(PC, OTHER_LINK, for_s=60), ["companion-lost", "link-stale"]),
        (lambda it: it.sees(PC, MISSES, for_s=90), ["companion-lost", "deadline-misses behind companion-lost"]),
        (lambda it: it.sees(HOT, SLOW, for_s=30), ["too-hot", "throttled behind too-hot"]),
        (lambda it: it.sees(LINK, for_s=60).sees(LINK, FULL, for_s=5), ["disk-full", "link-stale"]),
    ],
)
def test_what_stands(story: Callable[[Scene], Scene], stands: list[str]) -> None:
    assert story(Scene()).stands == stands


def test_what_is_behind_another_is_told_to_nobody() -> None:
    scene = Scene().sees(PC, LINK, for_s=60).sees(for_s=30)
    assert (scene.changes, scene.stands) == (["+companion-lost", "-companion-lost"], [])


def test_what_another_has_caused_has_to_last_anew_when_that_is_over() -> None:
    scene = Scene().sees(PC, MISSES, for_s=90).sees(MISSES, for_s=30)
    assert (scene.changes, scene.stands) == (["+companion-lost", "-companion-lost"], [])
    scene.sees(MISSES, for_s=60)
    assert (scene.changes[2:], scene.stands) == (["+deadline-misses"], ["deadline-misses"])


def test_what_was_told_of_is_told_of_to_its_end_whatever_explains_it_later() -> None:
    scene = Scene().sees(SLOW, for_s=30).sees(HOT, SLOW, for_s=60).sees(for_s=90)
    assert scene.changes == ["+throttled", "+too-hot", "-throttled", "-too-hot"]


def test_a_report_says_how_long_it_has_lasted_and_what_to_do() -> None:
    scene = Scene().sees(PC, for_s=30)
    assert scene.tracker.report() == [
        {
            "code": "companion-lost",
            "about": "pc",
            "severity": "warning",
            "what": "pc is gone",
            "do": CONDITIONS[Code.COMPANION_LOST].do,
            "since_s": 30,
            "behind": None,
        }
    ]


def test_one_of_each_subject_stands() -> None:
    other = Sighting(code=Code.COMPANION_LOST, about="server", what="server is gone")
    scene = Scene().sees(PC, for_s=30).sees(PC, other, for_s=30)
    assert [each["about"] for each in scene.tracker.report()] == ["pc", "server"]


@pytest.mark.parametrize("code", Code)
def test_what_explains_a_condition_is_raised_no_later(code: Code) -> None:
    """Else the consequence would be told first."""
    condition = CONDITIONS[code]
    assert all(CONDITIONS[cause].raise_s <= condition.raise_s for cause in condition.behind)


@pytest.mark.parametrize("code", Code)
def test_every_condition_says_what_it_is_and_what_to_do(code: Code) -> None:
    condition = CONDITIONS[code]
    assert condition.sentence.endswith(".")
    assert condition.do[0].isupper() or condition.do.startswith("collabctl")
    assert not condition.do.endswith(".")
