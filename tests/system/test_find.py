"""A companion that announces itself: listed, found again at another address, told from an impostor.

Device, companion and stranger have a network namespace each, joined by a bridge; nothing of the multicast is simulated.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collabd.device.journal import COMPANION_MOVED
from collabd.keys.identity import authority_of
from tests.patience import PATIENCE_S
from tests.system.box import Box
from tests.system.conftest import PYTHON, Service, infer

CARRIED = "/root/pi.pair"
KEYS = "/etc/collabd/keys"
HOME, ELSEWHERE, STRANGERS = "10.78.0.2", "10.78.0.9", "10.78.0.66"
# Failures are noticed sooner than by default.
DEVICE = "[failover]\nbreaker_open_s = 0.5\nconnect_timeout_s = 1.0\n"
_IMPOSTOR = Path(__file__).with_name("impostor.py").read_text()


@dataclass
class Lan:
    """The network 10.78.0.0/24, in which the box is the device. `pc` and `stranger` are namespaces in it."""

    box: Box

    def inside(self, namespace: str, *argv: str) -> list[str]:
        """The command for this machine that runs `argv` in a namespace of the box."""
        return self.box.command("nsenter", f"--net=/run/netns/{namespace}", *argv)

    def run(self, namespace: str, *argv: str) -> str:
        """What a command prints that is run in a namespace."""
        return self.box.run("nsenter", f"--net=/run/netns/{namespace}", *argv).stdout

    def move(self, before: str, after: str) -> None:
        """The companion changes its address."""
        self.run("pc", "ip", "address", "delete", f"{before}/24", "dev", "pc")
        self.run("pc", "ip", "address", "add", f"{after}/24", "dev", "pc")


@pytest.fixture
def lan(box: Box, device: Service, companion: Service) -> Iterator[Lan]:
    """With `companion` in the namespace `pc`."""
    made = [
        "link add lan type bridge",
        "address add 10.78.0.1/24 dev lan",
        "link set lan up",
        *(
            command
            for name, address in (("pc", HOME), ("stranger", STRANGERS))
            for command in (
                f"netns add {name}",
                f"link add to-{name} type veth peer name {name} netns {name}",
                f"link set to-{name} master lan up",
                f"-netns {name} address add {address}/24 dev {name}",
                f"-netns {name} link set {name} up",
                f"-netns {name} link set lo up",
            )
        ),
    ]
    for command in made:
        box.run("ip", *command.split())
    companion.drop_in("[Service]\nNetworkNamespacePath=/run/netns/pc\n")
    yield Lan(box)
    device.clean()
    companion.clean()
    for command in ("link delete to-pc", "link delete to-stranger", "link delete lan", "netns delete pc"):
        box.run("ip", *command.split())
    box.run("ip", "netns", "delete", "stranger")
    box.run("rm", "-rf", KEYS, CARRIED)


def pair(lan: Lan, device: Service, *options: str) -> None:
    """Keys for both."""
    device.configure(DEVICE)
    lan.run("pc", "collabctl", "pair", "new", "pi", "--name", "pc", "--host", HOME, "--out", CARRIED, *options)
    device.box.run("collabctl", "pair", "add", CARRIED)


def found(box: Box) -> list[dict[str, Any]]:
    """What the device finds."""
    return list(json.loads(box.run("collabctl", "pair", "find", "--json").stdout)["companions"])


def until_found(box: Box, right: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """What the device finds, once it is `right`."""
    for _ in range(20):
        if right(heard := found(box)):
            return heard
    raise AssertionError(heard)


def until(device: Service, right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What collabd says of its companion once it is `right`. Calls come, else it would not see who is lost."""
    for _ in range(100):
        infer(device.box, "alexnet_cifar10", 32)
        said = device.box.run("collabctl", "status", "--json", user="ada").stdout
        (cloud,) = json.loads(said)["clouds"]
        if right(cloud):
            return dict(cloud)
    raise AssertionError(said)


def is_used_at(address: str | None) -> Callable[[dict[str, Any]], bool]:
    """Whether the companion is of use at the address where it was found. None: where the configuration says."""
    url = None if address is None else f"https://{address}:8470"
    return lambda cloud: bool(cloud["state"] == "up" and cloud["packages"] and cloud["found_at"] == url)


def journal(device: Service, since: float) -> str:
    return "\n".join(entry["MESSAGE"] for entry in device.box.journal(f"_SYSTEMD_UNIT={device.unit}", since=since))


@contextmanager
def impostor(lan: Lan, authority: str) -> Iterator[Callable[[], str]]:
    """The stranger, who claims that this authority vouches for it; what it has printed so far."""
    log = lan.box.path("/root/impostor.log")
    command = lan.inside("stranger", PYTHON, "-I", "-c", _IMPOSTOR, STRANGERS, authority, HOME)
    with log.open("w") as printed, subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT) as process:
        try:
            for _ in range(int(PATIENCE_S / 0.1)):
                if "announced" in log.read_text():
                    break
                time.sleep(0.1)
            yield log.read_text
        finally:
            process.kill()
    log.unlink()


def test_a_companion_is_listed_while_it_announces_itself(lan: Lan, device: Service, companion: Service) -> None:
    lan.run("pc", "collabctl", "pair", "new", "pi", "--host", HOME, "--announce", "--out", CARRIED)
    companion.systemctl("start")
    (heard,) = until_found(device.box, bool)
    assert (heard["urls"], heard["secured"], heard["paired"]) == ([f"https://{HOME}:8470"], True, None)
    device.box.run("collabctl", "pair", "add", CARRIED, "--name", "attic")
    assert [each["paired"] for each in until_found(device.box, bool)] == ["attic"]
    printed = device.box.run("env", "COLUMNS=80", "collabctl", "pair", "find").stdout
    assert "as attic" in printed
    assert max(len(line) for line in printed.splitlines()) <= 80
    companion.systemctl("stop")
    assert until_found(device.box, lambda heard: not heard) == []
    assert "announce = true" in device.box.run("collabctl", "pair", "find").stdout


def test_a_companion_whose_address_changes_is_found_again_and_at_home_again(
    lan: Lan, device: Service, companion: Service
) -> None:
    pair(lan, device, "--announce")
    written = device.box.path(device.file).read_text()
    companion.systemctl("start")
    device.systemctl("start")
    until(device, is_used_at(None))
    since = time.time()
    lan.move(HOME, ELSEWHERE)
    until(device, is_used_at(ELSEWHERE))
    (entry,) = device.box.journal(f"MESSAGE_ID={COMPANION_MOVED}", since=since)
    assert (entry["COLLABD_COMPANION"], entry["COLLABD_URL"]) == ("pc", f"https://{ELSEWHERE}:8470")
    assert f"companion pc was found at https://{ELSEWHERE}:8470" in entry["MESSAGE"]
    status = device.box.run("env", "COLUMNS=120", "collabctl", "status", user="ada").stdout
    assert f"https://{ELSEWHERE}:8470" in status
    assert f"found there, and no longer at https://{HOME}:8470" in status
    assert "scores" in infer(device.box, "efficientnet_lite0", 256)
    assert device.box.path(device.file).read_text() == written
    lan.move(ELSEWHERE, HOME)
    until(device, is_used_at(None))


def test_a_companion_that_had_moved_before_the_device_started_is_found(
    lan: Lan, device: Service, companion: Service
) -> None:
    pair(lan, device, "--announce")
    lan.move(HOME, ELSEWHERE)
    companion.systemctl("start")
    device.systemctl("start")
    until(device, is_used_at(ELSEWHERE))


def test_an_impostor_gets_nothing_and_does_not_hide_the_companion(
    lan: Lan, device: Service, companion: Service
) -> None:
    pair(lan, device, "--announce")
    companion.systemctl("start")
    device.systemctl("start")
    until(device, is_used_at(None))
    companion.systemctl("stop")
    since = time.time()
    authority = authority_of(device.box.path(f"{KEYS}/collab-cloudd/server.crt").read_bytes())
    with impostor(lan, authority) as printed:
        for _ in range(int(PATIENCE_S / 0.1)):
            if "announces itself as pc and is not" in journal(device, since):
                break
            time.sleep(0.1)
        assert f"what answers at {STRANGERS}, port 8470, announces itself as pc and is not" in journal(device, since)
        lan.move(HOME, ELSEWHERE)
        companion.systemctl("start")
        until(device, is_used_at(ELSEWHERE))
        seen = printed()
    assert "connected" in seen
    assert "sent 1" not in seen
    moves = device.box.journal(f"MESSAGE_ID={COMPANION_MOVED}", since=since)
    assert [entry["COLLABD_URL"] for entry in moves] == [f"https://{ELSEWHERE}:8470"]


def test_who_is_not_to_be_followed_is_not_looked_for(lan: Lan, device: Service, companion: Service) -> None:
    pair(lan, device)
    companion.configure(device.box.path(companion.file).read_text().replace("#announce = false", "announce = true"))
    companion.systemctl("start")
    device.systemctl("start")
    until(device, is_used_at(None))
    lan.move(HOME, ELSEWHERE)
    until(device, lambda cloud: cloud["state"] == "down")
    assert until_found(device.box, lambda heard: [each["urls"] for each in heard] == [[f"https://{ELSEWHERE}:8470"]])
    assert until(device, lambda cloud: cloud["state"] == "down")["found_at"] is None
    opened = device.box.run("ss", "--udp", "--numeric", "--all", "--processes").stdout
    assert not any(":5353" in line and f"pid={device.pid()}," in line for line in opened.splitlines())


def test_without_a_network_the_companion_starts_and_says_that_it_is_not_announced(
    lan: Lan, device: Service, companion: Service
) -> None:
    lan.run("pc", "collabctl", "pair", "new", "pi", "--host", HOME, "--announce", "--out", CARRIED)
    lan.run("pc", "ip", "address", "delete", f"{HOME}/24", "dev", "pc")
    since = time.time()
    companion.systemctl("start")
    assert "not announced: other machines cannot reach this one at any address" in journal(companion, since)
    lan.run("pc", "ip", "address", "add", f"{HOME}/24", "dev", "pc")
    assert until_found(device.box, bool)[0]["urls"] == [f"https://{HOME}:8470"]
