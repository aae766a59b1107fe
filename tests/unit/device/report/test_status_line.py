"""The state of the daemon in one line."""

from __future__ import annotations

from typing import Any, cast

import pytest

from collab_sdk.reports import StatusReport
from collabd.device.report.status_line import status_line

LAST = {"model": "net", "cut": "pool1", "codec": "q8", "cloud": "pc", "measured_ms": 12.345, "degraded": False}
UP = {"name": "pc", "state": "up", "up_mbps": 8.234}


@pytest.mark.parametrize(
    ("last", "clouds", "line"),
    [
        (None, [], "2 models, no call yet"),
        (None, [UP | {"up_mbps": None}], "2 models, no call yet; pc is up"),
        (None, [{"name": "pc", "state": "unknown", "up_mbps": None}], "2 models, no call yet; pc is unknown"),
        (LAST, [UP], "net: pool1 as q8 to pc, 12.3 ms; pc is up at 8.2 Mbit/s"),
        (LAST | {"degraded": True}, [UP | {"state": "down"}], "net: pool1 as q8 to pc, 12.3 ms (degraded); pc is down"),
        (LAST | {"cloud": None}, [UP | {"up_mbps": 943.7}], "net: all on the device, 12.3 ms; pc is up at 944 Mbit/s"),
    ],
)
def test_the_line(last: dict[str, Any] | None, clouds: list[dict[str, Any]], line: str) -> None:
    report: dict[str, Any] = {"models": [{}, {}], "last": last, "clouds": clouds, "health": []}
    assert status_line(cast("StatusReport", report)) == line


def test_what_does_not_work_comes_first() -> None:
    door = {"severity": "error", "code": "door-refused", "what": "the door is not open", "behind": None}
    health = [door, door | {"behind": "disk-full"}, door | {"severity": "warning"}]
    report: dict[str, Any] = {"models": [], "last": None, "clouds": [], "health": health}
    line = "door-refused: the door is not open; 0 models, no call yet"
    assert status_line(cast("StatusReport", report)) == line
