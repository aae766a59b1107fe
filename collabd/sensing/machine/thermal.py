"""The temperature of the processor."""

from __future__ import annotations

import re
from pathlib import Path

from collabd.sensing.files import read_number, read_text
from collabd.sensing.reading import Measured, NotMeasured, Reading

_ZONES = "sys/class/thermal"
# cpu-thermal (Pi), soc_thermal, x86_pkg_temp, CPU-therm ...; others are the battery, the radio, the case.
_PROCESSOR = re.compile("cpu|soc|pkg", re.IGNORECASE)
# One step of a Pi's sensor is 0.49 degrees.
_STEP_C = 0.5
_LEAST_C, _MOST_C = -60.0, 200.0


class Temperature:
    """Degrees Celsius of the processor's hottest thermal zone; of the hottest zone of all if none names a processor."""

    def __init__(self, root: Path) -> None:
        zones = sorted((root / _ZONES).glob("thermal_zone*"))
        self._zones = [zone for zone in zones if _PROCESSOR.search(_kind(zone))] or zones
        self._none = NotMeasured(f"{root / _ZONES}: no thermal zone")

    def read(self, now: float) -> Measured[float]:
        """The temperature. A zone that does not answer is ignored as long as another does."""
        readings = [_celsius(zone) for zone in self._zones]
        degrees = [reading for reading in readings if not isinstance(reading, NotMeasured)]
        if degrees:
            return Reading(max(degrees), now, spread=_STEP_C)
        return next((reading for reading in readings if isinstance(reading, NotMeasured)), self._none)


def _kind(zone: Path) -> str:
    kind = read_text(zone / "type")
    return "" if isinstance(kind, NotMeasured) else kind


def _celsius(zone: Path) -> float | NotMeasured:
    millidegrees = read_number(zone / "temp")
    if isinstance(millidegrees, NotMeasured):
        return millidegrees
    degrees = millidegrees / 1e3
    return degrees if _LEAST_C < degrees < _MOST_C else NotMeasured(f"{zone}: {degrees:g} degrees is impossible")
