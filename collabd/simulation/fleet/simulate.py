"""A fleet of one size from beginning to end: what it gets, beside the best share that is fixed beforehand."""

from __future__ import annotations

from dataclasses import replace

from collabd.simulation.fleet.report import FleetReport, fleet_report
from collabd.simulation.fleet.run import run
from collabd.simulation.fleet.scenario import FleetScenario
from collabd.simulation.fleet.static import best_static


def simulate(scenario: FleetScenario, *, devices: int) -> FleetReport:
    """The report of so many devices in this scenario."""
    sized = replace(scenario, devices=devices)
    calls, companions = run(sized)
    return fleet_report(sized, calls, companions, static=best_static(sized))
