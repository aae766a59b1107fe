"""`collabctl pair` between the two services of one machine: keys in place, given and taken back by a reload."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.system.conftest import Service

CARRIED = "/root/pi.pair"
KEYS = "/etc/collabd/keys"


@pytest.fixture(autouse=True)
def no_keys(device: Service) -> Iterator[None]:
    yield
    device.box.run("rm", "-rf", KEYS, CARRIED)


def pair(device: Service, *options: str) -> None:
    """New keys, carried over."""
    box = device.box
    box.run("collabctl", "pair", "new", "pi", "--name", "pc", "--host", "127.0.0.1", "--out", CARRIED, *options)
    box.run("collabctl", "pair", "add", CARRIED, *(option for option in options if option == "--replace"))


def until(device: Service, right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What collabd says of its companion once it is `right`."""
    for _ in range(int(PATIENCE_S / 0.1)):
        said = device.box.run("collabctl", "status", "--json", user="ada").stdout
        (cloud,) = json.loads(said)["clouds"]
        if right(cloud):
            return dict(cloud)
        time.sleep(0.1)
    raise AssertionError(said)


def is_of_use(cloud: dict[str, Any]) -> bool:
    return bool(cloud["state"] == "up" and cloud["packages"])


@pytest.mark.parametrize("options", [(), ("--mutual",)], ids=["token and TLS", "mutual TLS"])
def test_a_pair_works_until_the_device_is_removed_and_again_once_it_is_paired_anew(
    device: Service, companion: Service, options: tuple[str, ...]
) -> None:
    box = device.box
    pair(device, *options)
    companion.systemctl("start")
    device.systemctl("start")
    assert until(device, is_of_use)["url"] == "https://127.0.0.1:8470"
    box.run("collabctl", "pair", "remove", "pi")
    companion.systemctl("reload")
    cloud = until(device, lambda cloud: cloud["state"] == "down")
    assert "the companion refused the key of this device" in cloud["problem"]
    pid = device.pid()
    pair(device, "--replace")
    companion.systemctl("reload")
    device.systemctl("reload")
    until(device, is_of_use)
    assert device.pid() == pid


def test_only_the_daemons_read_their_keys(device: Service, companion: Service) -> None:
    pair(device, "--mutual")
    found = device.box.run("find", KEYS, "-type", "f", "-printf", "%P %u %m\n").stdout.splitlines()
    assert sorted(found) == [
        "collab-cloudd/ca.crt collab-cloudd 444",
        "collab-cloudd/ca.key root 400",
        "collab-cloudd/server.crt collab-cloudd 444",
        "collab-cloudd/server.key collab-cloudd 400",
        "collab-cloudd/tokens collab-cloudd 400",
        "collabd/pc/ca.crt collabd 444",
        "collabd/pc/client.crt collabd 444",
        "collabd/pc/client.key collabd 400",
        "collabd/pc/token collabd 400",
    ]
    assert device.box.run("stat", "--format=%a", CARRIED).stdout == "600\n"


def test_open_to_others_without_keys_the_companion_does_not_start(companion: Service) -> None:
    companion.configure('[server]\nhost = "0.0.0.0"\n')
    assert companion.systemctl("start", check=False) != 0
    assert companion.show("ExecMainStatus") == "78"
    said = companion.box.journal("_SYSTEMD_UNIT=collab-cloudd.service")[-1]["MESSAGE"]
    assert "without a token and TLS: make the keys with sudo collabctl pair new DEVICE" in said
