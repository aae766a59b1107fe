"""`collabctl doctor` on a machine with both daemons as services."""

from __future__ import annotations

import json

from tests.system.box import Box
from tests.system.conftest import Service


def findings(box: Box, user: str | None = None) -> tuple[int, dict[str, str]]:
    """The exit status, and what was found that is not well: its title by its code."""
    ran = box.run("/usr/local/bin/collabctl", "doctor", "--json", user=user, check=False)
    report = json.loads(ran.stdout)
    assert report["roles"] == ["collabd", "collab-cloudd"]
    bad = {found["code"]: found["title"] for found in report["findings"] if found["severity"] in {"warning", "error"}}
    return ran.returncode, bad


def test_a_machine_that_is_well(box: Box, device: Service, companion: Service) -> None:
    device.systemctl("start")
    companion.systemctl("start")
    assert findings(box) == (0, {})
    assert findings(box, "ada") == (0, {})


def test_who_may_not_call_is_told_why_and_no_more(box: Box, device: Service, companion: Service) -> None:
    device.systemctl("start")
    companion.systemctl("start")
    status, bad = findings(box, "bob")
    assert (status, list(bad)) == (1, ["access"])
    assert "not in the group collab" in bad["access"]


def test_a_bad_configuration_is_the_whole_trouble(box: Box, device: Service, companion: Service) -> None:
    companion.systemctl("start")
    device.configure("[planing]\n")
    device.systemctl("start", check=False)
    status, bad = findings(box)
    assert (status, set(bad)) == (1, {"configuration", "service"})
    assert "did you mean 'planning'" in bad["configuration"]
    assert "refuses its configuration" in bad["service"]


def test_a_daemon_that_is_stopped(box: Box, device: Service, companion: Service) -> None:
    device.systemctl("start")
    status, bad = findings(box)
    assert (status, bad) == (1, {"service": "collab-cloudd is not running"})
