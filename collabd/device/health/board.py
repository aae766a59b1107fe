"""What is wrong with the board: its supply, its heat, and what the firmware makes of both."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.health.conditions import Code, Sighting
from collabd.sensing.reading import NotMeasured
from collabd.sensing.sampler import Snapshot

# Where a Raspberry Pi begins to slow down.
_HOT_C = 80.0


def board_seen(snapshot: Snapshot) -> Iterator[Sighting]:
    """In this snapshot of the machine."""
    if not isinstance(snapshot.temperature, NotMeasured) and snapshot.temperature.value >= _HOT_C:
        yield Sighting(code=Code.TOO_HOT, what=f"the processor is at {snapshot.temperature.value:.0f} °C")
    if isinstance(snapshot.throttling, NotMeasured):
        return
    flags = snapshot.throttling.value.now
    if flags.under_voltage:
        yield Sighting(code=Code.UNDER_VOLTAGE, what="the supply of the board is under 4.63 V")
    if flags.throttled or flags.frequency_capped or flags.soft_temperature_limit:
        yield Sighting(code=Code.THROTTLED, what="the firmware holds the processor back")
