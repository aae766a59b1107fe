"""Daemons that fail at each start while callers keep calling: both daemons run again once the cause is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.patience import PATIENCE_S
from tests.system.conftest import PYTHON, Service, ended, infer, one_call

MENDED = "/run/mended"
# More than any limit of systemd's own: 5 in 10 s.
ENOUGH = 8


@pytest.fixture(autouse=True)
def broken(device: Service) -> Iterator[None]:
    yield
    device.box.path(MENDED).unlink(missing_ok=True)


def break_it(service: Service, module: str, failure: str, pauses: str = "RestartSteps=0") -> None:
    """Each start ends in `failure`, until somebody mends it. Ten attempts a second, to see many soon."""
    script = f"test -e {MENDED} && exec {PYTHON} -I -m {module}; {failure}"
    service.drop_in(f"[Service]\nRestartSec=100ms\n{pauses}\nExecStart=\nExecStart=/bin/sh -c '{script}'\n")


def fail_often(service: Service) -> None:
    """Wait until it has failed more often than any limit allows."""
    for _ in range(int(PATIENCE_S / 0.05)):
        if int(service.show("NRestarts")) >= ENOUGH:
            return
        time.sleep(0.05)
    raise AssertionError(f"{service.unit} was given up: {service.show('ActiveState')}/{service.show('Result')}")


@pytest.mark.parametrize("failure", ["exit 1", "kill -KILL $$$$"])
def test_the_device_is_back_by_itself_and_whoever_called_is_answered(device: Service, failure: str) -> None:
    break_it(device, "collabd", failure)
    device.box.run("systemctl", "start", "collabd.socket")
    socket = device.box.show("collabd.socket", "InvocationID")
    with one_call(device.box, "alexnet_cifar10", 32, timeout_s=120) as call:
        fail_often(device)
        device.box.run("touch", MENDED)
        assert "scores" in ended(call)
    assert device.show("ActiveState") == "active"
    assert device.box.show("collabd.socket", "InvocationID") == socket


def test_the_companion_is_back_by_itself(companion: Service) -> None:
    break_it(companion, "collabd.cloud", "exit 1")
    companion.box.run("systemctl", "start", "--no-block", companion.unit)
    fail_often(companion)
    companion.box.run("touch", MENDED)
    companion.until("ActiveState", "active")


def test_the_pauses_between_failed_starts_grow_where_systemd_can_do_that(companion: Service) -> None:
    version = int(companion.box.run("systemctl", "--version").stdout.split()[1])
    assert ("back-off.conf" in companion.show("DropInPaths")) == (version >= 254)
    if version >= 254:
        break_it(companion, "collabd.cloud", "exit 1", pauses="RestartMaxDelaySec=2s")
        companion.box.run("systemctl", "start", "--no-block", companion.unit)
        companion.until("RestartUSecNext", "2s")


def test_a_bad_configuration_makes_no_storm_of_starts_and_is_mended_without_systemctl(device: Service) -> None:
    """Callers call without a pause. Each start would take a third of a second."""
    device.configure("[server]\nmax_request_mbb = 1\n")
    device.box.run("systemctl", "start", "collabd.socket")
    since = time.time()
    for _ in range(2):
        refused = infer(device.box, "alexnet_cifar10", 32)
        assert (refused["error"], "its configuration is bad" in refused["message"]) == ("daemon_unavailable", True)
    took = time.time() - since
    said = [entry["MESSAGE"] for entry in device.box.journal("_SYSTEMD_UNIT=collabd.service", since=since)]
    starts = sum("unknown key, did you mean 'max_request_mb'?" in message for message in said)
    assert 1 <= starts <= 1 + took / 5
    assert device.box.show("collabd.socket", "ActiveState") == "active"
    device.configure("")
    assert "scores" in infer(device.box, "alexnet_cifar10", 32)
