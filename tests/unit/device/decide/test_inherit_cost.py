"""What an inherited answer is expected to take beside its look."""

from __future__ import annotations

import pytest

from collabd.config import DeviceConfig
from collabd.sensing.estimates.overhead import Overheads, Way
from tests.device_parts import planner_of

NOW = 100.0


@pytest.mark.parametrize(("inherited_s", "more_s"), [(0.35, 0.0), (5e-4, -1e-3)])
def test_calls_that_were_held_up_do_not_keep_others_from_inheriting(inherited_s: float, more_s: float) -> None:
    overheads = Overheads()
    for _ in range(100):
        overheads.learn_served(1.5e-3, NOW, 0.0, of_file=False, way=Way.ALONE, alone=True)
    for _ in range(100 if inherited_s < 1e-2 else 2):
        overheads.learn_served(inherited_s, NOW, 0.0, of_file=False, way=Way.INHERITS, alone=True)
    state = planner_of(DeviceConfig(), [], clock=lambda: NOW, overheads=overheads).device_state()
    assert state.inherits_more_s == pytest.approx(more_s, abs=1e-4)
