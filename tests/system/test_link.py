"""Device and companion in two network namespaces, joined by a link whose rate changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from collabd.device.journal import PLAN_SWITCHED
from tests.patience import PATIENCE_S
from tests.system.box import Box
from tests.system.conftest import Service, calling

FAST, SLOW = "100mbit", "64kbit"
# Probes that notice within seconds when a very slow link becomes better.
DEVICE = """
[link]
probe_kb = 1
probe_share = 0.1
[[clouds]]
name = "pc"
url = "http://10.77.0.2:8470"
"""


@dataclass
class Link:
    """A pair of virtual interfaces, one in the box, one in its network namespace `pc`."""

    box: Box

    def rate(self, rate: str) -> None:
        """Shape both directions."""
        shape = ("root", "tbf", "rate", rate, "burst", "8kb", "latency", "400ms")
        self.box.run("tc", "qdisc", "replace", "dev", "pi", *shape)
        self.box.run("tc", "-netns", "pc", "qdisc", "replace", "dev", "pc", *shape)


@pytest.fixture
def link(box: Box) -> Iterator[Link]:
    for command in (
        "netns add pc",
        "link add pi type veth peer name pc netns pc",
        "address add 10.77.0.1/24 dev pi",
        "link set pi up",
        "-netns pc address add 10.77.0.2/24 dev pc",
        "-netns pc link set pc up",
    ):
        box.run("ip", *command.split())
    yield Link(box)
    box.run("ip", "link", "delete", "pi")
    box.run("ip", "netns", "delete", "pc")


def until_served_by(device: Service, companion: str, since: float) -> None:
    """Wait until the last switch of both models is to a plan with this companion (empty: with none)."""
    for _ in range(int(PATIENCE_S / 0.1)):
        entries = device.box.journal(f"MESSAGE_ID={PLAN_SWITCHED}", since=since)
        now = {entry["COLLABD_MODEL"]: entry.get("COLLABD_COMPANION", "") for entry in entries}
        if list(now.values()) == [companion, companion]:
            return
        time.sleep(0.1)
    raise AssertionError("\n".join(entry["MESSAGE"] for entry in entries) or "no plan was ever switched")


def test_plans_follow_the_rate_of_the_link(link: Link, companion: Service, device: Service) -> None:
    device.configure(DEVICE)
    device.slow_down(20)
    # Nobody but these two is on the link.
    companion.configure('[server]\nhost = "10.77.0.2"\ninsecure = true\n')
    companion.drop_in("[Service]\nNetworkNamespacePath=/run/netns/pc\n")
    link.rate(FAST)
    device.systemctl("start")
    device.box.run("collabctl", "wait", "--profiled", "--timeout", "480", user="ada")
    since = time.time()
    with calling(device.box, budget="100%", count=1) as seen:
        companion.systemctl("start")
        until_served_by(device, "pc", since)
        link.rate(SLOW)
        until_served_by(device, "", since)
        link.rate(FAST)
        until_served_by(device, "pc", since)
    assert seen.failed == []
    assert seen.different == 0
    assert len(seen.plans) >= 2
