"""What `journalctl MESSAGE_ID=` finds: each change once, not once a call."""

from __future__ import annotations

import time
from typing import Any

from collabd.device import journal
from collabd.health import telling
from tests.patience import PATIENCE_S
from tests.system.conftest import Service, calling

NEAR = '[[clouds]]\nname = "pc"\nurl = "http://127.0.0.1:8470"\n'


def entries(device: Service, message_id: str, since: float) -> list[dict[str, Any]]:
    return device.box.journal(f"MESSAGE_ID={message_id}", since=since)


def until_there_are(device: Service, count: int, message_id: str, since: float) -> list[dict[str, Any]]:
    for _ in range(int(PATIENCE_S / 0.05)):
        if len(found := entries(device, message_id, since)) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} entries of {message_id} instead of {count}")


def test_a_companion_lost_and_regained(device: Service, companion: Service) -> None:
    since = time.time()
    device.configure(NEAR + "[failover]\nbreaker_open_s = 0.5\n")
    companion.systemctl("start")
    device.systemctl("start")
    (found,) = until_there_are(device, 1, journal.COMPANION_REGAINED, since)
    assert (found["COLLABD_COMPANION"], found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == ("pc", "6", "collabd")
    companion.systemctl("stop")
    (found,) = until_there_are(device, 1, journal.COMPANION_LOST, since)
    assert (found["COLLABD_COMPANION"], found["PRIORITY"]) == ("pc", "4")
    companion.systemctl("start")
    until_there_are(device, 2, journal.COMPANION_REGAINED, since)
    time.sleep(1.5)
    assert len(entries(device, journal.COMPANION_LOST, since)) == 1
    assert len(entries(device, journal.COMPANION_REGAINED, since)) == 2


def test_a_missed_deadline_is_told_once(device: Service) -> None:
    device.slow_down(20)
    device.systemctl("start")
    since = time.time()
    with calling(device.box, budget="0.1ms", count=2) as seen:
        until_there_are(device, 2, journal.DEADLINE_MISSED, since)
        time.sleep(1)
    assert sum(seen.answered) >= 4
    found = entries(device, journal.DEADLINE_MISSED, since)
    assert sorted(entry["COLLABD_MODEL"] for entry in found) == ["alexnet_cifar10", "efficientnet_lite0"]
    assert {entry["COLLABD_BUDGET"] for entry in found} == {"0.1ms"}
    assert all(float(entry["COLLABD_LATENCY_MS"]) > 0.1 for entry in found)


def test_throttling_is_read_from_the_firmware(device: Service) -> None:
    """A Raspberry Pi as far as the daemon can see: the firmware's device for the group video, and `vcgencmd`."""
    box, word = device.box, "/run/firmware"
    box.run("mknod", "--mode=660", "/dev/vcio", "c", "1", "3")
    box.run("chown", "root:video", "/dev/vcio")
    box.write("/usr/local/bin/vcgencmd", f"#!/bin/sh\n: <>/dev/vcio && cat {word}\n")
    box.run("chmod", "755", "/usr/local/bin/vcgencmd")
    try:
        since = time.time()
        box.write(word, "throttled=0x50005\n")
        device.systemctl("start")
        (found,) = until_there_are(device, 1, journal.THROTTLED, since)
        assert (found["COLLABD_FLAGS"], found["PRIORITY"]) == ("under voltage, throttled", "4")
        box.write(word, "throttled=0x50000\n")
        until_there_are(device, 1, journal.THROTTLING_ENDED, since)
        assert len(entries(device, journal.THROTTLED, since)) == 1
    finally:
        box.run("rm", "/dev/vcio", "/usr/local/bin/vcgencmd", word)


def test_the_catalog_explains_every_event(device: Service) -> None:
    catalog = device.box.run("journalctl", "--list-catalog").stdout
    for name in (
        "PLAN_SWITCHED",
        "COMPANION_LOST",
        "COMPANION_REGAINED",
        "DEADLINE_MISSED",
        "THROTTLED",
        "THROTTLING_ENDED",
    ):
        assert getattr(journal, name) in catalog
    assert telling.HEALTH_RAISED in catalog
    assert telling.HEALTH_CLEARED in catalog
