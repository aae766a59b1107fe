"""The units, as `systemctl show` tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.ctl.doctor.context import COMPANION, DEVICE, Context
from collabd.ctl.doctor.machine import Answer
from collabd.ctl.doctor.service import check_services, of_state
from tests.unit.ctl.doctor.conftest import Make

RUNNING = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success"}
FAILED = {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
PAUSING = FAILED | {"ActiveState": "deactivating", "SubState": "stop-post", "ExecMainStatus": "78"}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "Result": "success"}


@pytest.mark.parametrize(
    ("state", "severity", "part"),
    [
        (RUNNING, "ok", "runs as a service"),
        (FAILED | {"ExecMainStatus": "78"}, "error", "refuses its configuration"),
        (FAILED | {"ExecMainStatus": "1"}, "error", "ended with an error"),
        (FAILED | {"Result": "oom-kill"}, "error", "out of memory"),
        (FAILED | {"Result": "watchdog"}, "error", "hung"),
        (RUNNING | {"ActiveState": "activating", "SubState": "auto-restart", "Result": "signal"}, "error", "a signal"),
        (RUNNING | {"ActiveState": "activating", "SubState": "start"}, "note", "is activating"),
        (PAUSING, "error", "refuses its configuration"),
        (PAUSING | {"Result": "success", "ExecMainStatus": "0"}, "note", "is deactivating"),
        (STOPPED, "error", "is not running"),
    ],
)
def test_the_states_of_a_unit(state: dict[str, str], severity: str, part: str) -> None:
    found = of_state(DEVICE, state, socket={})
    assert (found.code, found.severity) == ("service", severity)
    assert part in found.title
    assert bool(found.advice) == (severity != "ok")


def test_a_bad_configuration_is_checked_by_hand() -> None:
    found = of_state(COMPANION, FAILED | {"ExecMainStatus": "78"}, socket={})
    assert "/etc/collabd/collab-cloudd.toml" in found.advice
    assert "collab-cloudd --check" in found.advice


def test_a_device_that_waits_for_its_first_call_is_well() -> None:
    assert of_state(DEVICE, STOPPED, socket={"ActiveState": "active"}).severity == "ok"
    assert of_state(COMPANION, STOPPED, socket={"ActiveState": "active"}).severity == "error"


def test_every_role_is_asked_for(machine: Make) -> None:
    said = Answer(0, "\n".join(f"{key}={value}" for key, value in RUNNING.items()), "")
    there = machine({"/run/systemd/system/x": ""}, {"systemctl show": said})
    found = list(check_services(Context(there, Path("/x"), roles=(DEVICE, COMPANION))))
    assert [finding.title for finding in found] == ["collabd runs as a service", "collab-cloudd runs as a service"]


def test_without_systemd_it_is_not_measured(machine: Make) -> None:
    (found,) = check_services(Context(machine(), Path("/x")))
    assert found.severity == "not-measured"


def test_a_systemctl_that_fails_is_not_measured(machine: Make) -> None:
    there = machine({"/run/systemd/system/x": ""}, {"systemctl show": Answer(1, "", "no bus")})
    (found,) = check_services(Context(there, Path("/x")))
    assert found.severity == "not-measured"
