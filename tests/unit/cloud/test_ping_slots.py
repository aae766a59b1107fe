"""When devices should ping again: few whenever they like, many one after the other."""

from __future__ import annotations

import pytest

from collabd.cloud.ping_slots import PingSlots
from tests.unit.cloud.set_clock import Clock


def test_one_device_is_welcome_at_once() -> None:
    clock = Clock()
    slots = PingSlots(clock)
    for _ in range(100):
        assert slots.again_s("pi") == pytest.approx(0.02)
        clock.now += 0.05


def test_a_device_that_asks_early_gets_no_second_moment() -> None:
    """So one that pings all the time keeps no other waiting."""
    clock = Clock()
    slots = PingSlots(clock)
    for _ in range(10_000):
        slots.again_s("greedy")
    assert slots.again_s("pi") == pytest.approx(0.04)
    assert slots.again_s("pi") == pytest.approx(0.04)
    clock.now += 0.03
    assert slots.again_s("pi") == pytest.approx(0.01)


@pytest.mark.parametrize(("devices", "per_s"), [(20, 20), (50, 50), (1000, 50)])
def test_devices_that_heed_it_ping_once_a_second_or_share_fifty(devices: int, per_s: int) -> None:
    clock = Clock()
    slots = PingSlots(clock)
    due, pings = dict.fromkeys(range(devices), clock.now), []
    for _ in range(6000):
        for device in [device for device, at in due.items() if at <= clock.now]:
            pings.append(clock.now)
            due[device] = clock.now + max(slots.again_s(device), 1.0)
        clock.now += 0.01
    settled = [at for at in pings if at > clock.now - 30]
    assert len(settled) == pytest.approx(30 * per_s, rel=0.05)


def test_nobody_waits_for_longer_than_a_minute_and_few_are_remembered() -> None:
    clock = Clock()
    slots = PingSlots(clock)
    told = [slots.again_s(device) for device in range(100_000)]
    assert max(told) == 60.0
    assert len(slots._slots) <= 3000
    clock.now += 61.0
    assert slots.again_s("late") == pytest.approx(0.02)
    assert len(slots._slots) == 1
