"""What the device sees of a companion that is gone, refuses a package, or has another clock."""

from __future__ import annotations

import math

import pytest

from collabd.catalog.package.package import Package
from collabd.config import LinkSettings
from collabd.device.companions.companion import Companion, Lack
from collabd.device.companions.dates import clock_off_s
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.health.companions import companions_seen


def seen(companion: Companion, *packages: Package) -> dict[str, str]:
    found = companions_seen([companion], LinkSettings(), packages)
    return {f"{each.code} {each.about}": each.what for each in found}


def test_nothing_is_wrong_with_one_that_is_up(companion: Companion, tiny_package: Package) -> None:
    assert seen(companion, tiny_package) == {}


def test_one_that_has_not_answered_yet_is_lost(companion: Companion) -> None:
    companion.reached = False
    assert seen(companion) == {"companion-lost pc": "the device works without pc: pc has not answered yet"}


def test_one_that_is_gone_is_lost_for_the_reason_that_was_seen(companion: Companion) -> None:
    companion.note_failure(CompanionFailure(FailureReason.DEAD, "pc at http://pc: Connection refused"))
    assert seen(companion) == {"companion-lost pc": "the device works without pc: pc at http://pc: Connection refused"}


@pytest.mark.parametrize(
    ("lack", "codes"),
    [
        (Lack("is still measuring the package"), []),
        (Lack("refused the package: it has loops", math.inf), ["digest-mismatch pc/tiny"]),
    ],
)
def test_a_package_that_it_refuses_is_told_of_and_one_that_it_gets_is_not(
    companion: Companion, tiny_package: Package, lack: Lack, codes: list[str]
) -> None:
    companion.lacks[tiny_package.digest] = lack
    assert list(seen(companion, tiny_package)) == codes


@pytest.mark.parametrize(
    ("off_s", "told"),
    [
        (None, {}),
        (29.0, {}),
        (-95.2, {"clock-off pc": "the clock of pc is 95 s behind the one of this machine"}),
        (3600.0, {"clock-off pc": "the clock of pc is 3600 s ahead of the one of this machine"}),
    ],
)
def test_its_clock_may_be_off_by_half_a_minute(companion: Companion, off_s: float | None, told: dict[str, str]) -> None:
    companion.clock_off_s = off_s
    assert seen(companion) == told


@pytest.mark.parametrize(
    ("date", "off_s"),
    [
        ("Thu, 01 Jan 1970 00:01:40 GMT", -20.5),
        ("Thu, 01 Jan 1970 00:02:30 GMT", 29.5),
        ("soon", None),
        ("", None),
        (None, None),
        ("Thu, 01 Jan 99999 00:02:30 GMT", None),
    ],
)
def test_a_date_tells_how_far_a_clock_is_off(date: str | None, off_s: float | None) -> None:
    assert clock_off_s(date, 120.5) == off_s


def test_the_link_is_stale_where_calls_come_and_probes_that_are_due_are_not_made(companion: Companion) -> None:
    came = companion.clock()
    later = Later(companion, came)
    companion.attention.pay()
    later.by_s = 1.0
    assert seen(companion) == {}
    later.by_s = 40.0
    assert seen(companion) == {"link-stale pc": "the link to pc was last measured 40 s ago"}
    later.by_s = 100.0
    assert seen(companion) == {}  # nobody has called for a minute, so that nobody needs it


class Later:
    """The companion's clock, so many seconds later."""

    def __init__(self, companion: Companion, now: float) -> None:
        self.by_s = 0.0
        companion.clock = lambda: now + self.by_s
