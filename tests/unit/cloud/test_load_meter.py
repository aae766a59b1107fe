"""The companion's own load, of a machine that a test makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd.cloud.load_meter import LoadMeter
from collabd.sensing.sensed_machine import SHOWS_NOTHING, SensedMachine
from tests.unit.sensing.conftest import HIDDEN, Kernel, counters


@pytest.mark.parametrize(("own", "slowdown"), [(0, 1.8), (80, 1.0)])
async def test_what_others_take_slows_and_what_it_takes_itself_does_not(
    tmp_path: Path, own: int, slowdown: float
) -> None:
    kernel = Kernel(counters((0, 0)))
    meter = LoadMeter(1, SensedMachine(root=tmp_path, counters=kernel, firmware=SHOWS_NOTHING.firmware))
    await meter.warm_up()
    kernel.shown = counters((80, 20), own=own)
    await meter.warm_up()
    assert (meter.value, meter.slowdown) == (0.8, slowdown)


async def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    meter = LoadMeter(1, SensedMachine(root=tmp_path, counters=Kernel(HIDDEN), firmware=SHOWS_NOTHING.firmware))
    await meter.warm_up()
    assert (meter.value, meter.slowdown) == (None, 1.0)
