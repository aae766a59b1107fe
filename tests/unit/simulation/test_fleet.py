"""Fleets of whole daemons with the tiny network: nobody is driven away for nothing, and nobody runs in a herd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collabd.catalog.package.package import Package
from collabd.config import DeviceConfig, PlanningSettings
from collabd.profiling.profile import Profile
from collabd.simulation.fleet.report import FleetReport
from collabd.simulation.fleet.run import arrivals, run
from collabd.simulation.fleet.scenario import FleetScenario
from collabd.simulation.fleet.simulate import simulate
from collabd.simulation.traces import Trace

FULL = 8


@pytest.fixture(scope="module")
def scenario(tiny_package: Package, tiny_profile: Profile) -> FleetScenario:
    """The device takes 160 ms for the network, an idle companion 20 ms at the most, and the link 30 ms."""
    return FleetScenario(
        package=tiny_package,
        profile=tiny_profile,
        traces=[Trace.constant(20e6 / 8)],
        devices=1,
        companions=2,
        saturated_by=FULL,
        every_s=0.25,
        duration_s=24.0,
        slowdown=8.0,
        rtt_s=0.02,
        seed=1,
        config=DeviceConfig(planning=PlanningSettings(min_fidelity=0.0)),
    )


@pytest.fixture(scope="module")
def crowded(scenario: FleetScenario) -> FleetReport:
    """Four times as many devices as the companions can serve."""
    return simulate(scenario, devices=4 * FULL)


def test_a_device_alone_is_never_refused(scenario: FleetScenario) -> None:
    calls, companions = run(scenario)
    assert np.mean(calls.answered_there) > 0.95
    assert sum(companion.refused for companion in companions) == 0


def test_a_crowd_gets_about_as_much_as_the_best_share_that_is_fixed_beforehand(crowded: FleetReport) -> None:
    assert crowded["static_ms"] <= crowded["random_ms"] <= crowded["alone_ms"]
    assert crowded["vs_random"] <= 1.1
    assert crowded["mean_ms"] < crowded["alone_ms"]


def test_the_load_of_a_crowd_does_not_swing(crowded: FleetReport) -> None:
    assert crowded["load"] > 0.5
    # Each window has some thirty answers a companion, whose number varies by chance alone.
    assert crowded["oscillation_load"] <= 0.2
    assert crowded["oscillation_offloaded"] <= 0.2


def test_who_is_refused_asks_less_and_less(crowded: FleetReport) -> None:
    asked = crowded["windows"]["asked"]
    assert np.mean(asked[-4:]) < 0.7 * np.mean(asked[:2])


def test_half_of_the_cameras_send_at_random_moments(scenario: FleetScenario) -> None:
    devices = replace(scenario, devices=200).made()
    gaps = [np.diff(arrivals(device, scenario)) for device in devices]
    assert {device.periodic for device in devices} == {True, False}
    for device, between in zip(devices, gaps, strict=True):
        assert between.mean() == pytest.approx(scenario.every_s, rel=0.4)
        assert (between.std() < 1e-9) == device.periodic
    assert {len(set(device.companions)) for device in devices} == {2}


def test_the_picture_shows_sizes_and_time(crowded: FleetReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from collabd.plots.fleet import plot

    plot([crowded | {"devices": 5}, crowded], tmp_path / "fleet.png", saturated_by=FULL)
    assert (tmp_path / "fleet.png").read_bytes().startswith(b"\x89PNG")
