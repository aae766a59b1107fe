"""`systemctl reload` under load."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.patience import PATIENCE_S
from tests.system.conftest import Service, calling, ended, one_call
from tests.system.test_service import assert_nobody_noticed


def in_force(device: Service, key: str) -> Any:
    report = json.loads(device.box.run("collabctl", "config", "--json", user="ada").stdout)
    return report["settings"].get(key, {}).get("value")


def until_in_force(device: Service, key: str, value: object) -> None:
    for _ in range(int(PATIENCE_S / 0.05)):
        if in_force(device, key) == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{key} is {in_force(device, key)!r}")


def said(device: Service, since: float) -> str:
    return "\n".join(entry["MESSAGE"] for entry in device.box.journal("_SYSTEMD_UNIT=collabd.service", since=since))


def test_calls_go_on_while_the_configuration_changes(device: Service) -> None:
    device.systemctl("start")
    pid = device.pid()
    with calling(device.box) as seen:
        for share in (0.5, 0.9, 0.7):
            device.configure(
                f"[planning]\nmin_fidelity = {share}\n[failover]\nbreaker_open_s = {share}\n"
                f'[[clouds]]\nname = "pc{share}"\nurl = "http://127.0.0.1:1"\n'
            )
            device.systemctl("reload")
            until_in_force(device, "planning.min_fidelity", share)
    assert_nobody_noticed(seen)
    assert (device.pid(), device.show("ActiveState")) == (pid, "active")
    device.until("StatusText", "pc0.7 is")


def test_a_bad_configuration_is_refused_and_the_old_one_stays(device: Service) -> None:
    device.configure("[planning]\nmin_fidelity = 0.5\n")
    device.systemctl("start")
    pid, since = device.pid(), time.time()
    device.configure("[planning]\nmin_fidelity = 5\n")
    assert device.systemctl("reload", check=False) != 0
    assert (device.pid(), device.show("ActiveState")) == (pid, "active")
    assert in_force(device, "planning.min_fidelity") == 0.5
    assert "planning.min_fidelity: Expected `float` <= 1.0 (it is 5)" in said(device, since)


def test_the_daemon_itself_refuses_a_bad_configuration(device: Service) -> None:
    device.configure("[planning]\nmin_fidelity = 0.5\n")
    device.systemctl("start")
    since = time.time()
    device.configure("[planning]\nmin_fidelity = 5\nx = 1\n")
    device.signal("HUP")
    for _ in range(int(PATIENCE_S / 0.05)):
        if "the old configuration stays in force" in said(device, since):
            break
        time.sleep(0.05)
    lines = said(device, since).splitlines()
    assert len(lines) == 1
    assert "planning.min_fidelity" in lines[0]
    assert "planning.x: unknown key" in lines[0]
    assert in_force(device, "planning.min_fidelity") == 0.5
    device.until("ActiveState", "active")


def test_what_needs_a_restart_is_said(device: Service) -> None:
    device.systemctl("start")
    since = time.time()
    device.configure("[planning]\nmin_fidelity = 0.6\n[engine]\ncache_mb = 77\n")
    device.systemctl("reload")
    until_in_force(device, "planning.min_fidelity", 0.6)
    assert in_force(device, "engine.cache_mb") == 0
    assert "take effect only after a restart: engine" in said(device, since)
    device.systemctl("restart")
    assert in_force(device, "engine.cache_mb") == 77


def test_a_call_in_progress_ends_with_the_plan_that_it_began_with(device: Service) -> None:
    device.slow_down(50)
    device.systemctl("start")
    with one_call(device.box, "efficientnet_lite0", 256) as call:
        time.sleep(0.5)
        device.configure('[[clouds]]\nname = "pc"\nurl = "http://127.0.0.1:1"\n')
        device.systemctl("reload")
        assert "scores" in ended(call)
    until_in_force(device, "clouds[0].name", "pc")


def test_the_companion_reloads_too(companion: Service) -> None:
    companion.systemctl("start")
    since = time.time()
    companion.configure("[packages]\naccept = false\n[server]\nport = 8471\n")
    companion.systemctl("reload")
    for _ in range(int(PATIENCE_S / 0.05)):
        lines = companion.box.journal("_SYSTEMD_UNIT=collab-cloudd.service", since=since)
        if any("new configuration is in force" in entry["MESSAGE"] for entry in lines):
            break
        time.sleep(0.05)
    assert any("only after a restart: server" in entry["MESSAGE"] for entry in lines)
    put = ("curl", "--silent", "--request", "PUT", "--data", "x", "http://127.0.0.1:8470/collab/v1/packages/sha256:0")
    assert "accepts no packages" in companion.box.run(*put).stdout
