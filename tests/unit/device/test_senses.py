"""What planning reckons with once nothing is sensed any more."""

from __future__ import annotations

from collabd.config import EnergySettings
from collabd.device.senses import Senses, slowdown
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sensed_machine import SHOWS_NOTHING


def test_what_cannot_be_sensed_any_more_is_unknown_and_not_as_it_was() -> None:
    senses = Senses(EnergySettings(board="pi4", busy_w=6.0, idle_w=2.0), SHOWS_NOTHING)
    senses.give_up(LookupError("no such file"))
    seen = senses.snapshot
    for measured in (seen.load, seen.pressure, seen.frequency, seen.temperature, seen.throttling, seen.battery):
        assert isinstance(measured, NotMeasured)
        assert "no such file" in measured.reason
    assert not seen.power.measured
    assert (seen.power.board.busy_w, seen.power.board.idle_w) == (6.0, 2.0)
    assert slowdown(senses.snapshot, 4) == 1.0
