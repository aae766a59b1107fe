"""A power monitor on the I2C bus, wired into the supply of the board (INA219, INA226 and their family)."""

from __future__ import annotations

import math
import re
from pathlib import Path

from collabd.sensing.files import read_number, read_text
from collabd.sensing.power.meter import plausible
from collabd.sensing.reading import NotMeasured, gather

_CHIP = re.compile(r"ina2\d\d", re.ASCII)


class Ina:
    """Watts at the shunt: as the chip multiplies them, else bus voltage times current."""

    covers = "all that its shunt feeds"
    prompt = True
    every_s = 0.0

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path

    @classmethod
    def find(cls, root: Path) -> Ina | NotMeasured:
        """The first chip that answers, where there are several."""
        for path in sorted((root / "sys/class/hwmon").glob("hwmon*")):
            name = read_text(path / "name")
            if not isinstance(name, NotMeasured) and _CHIP.fullmatch(name):
                meter = cls(path, name)
                if not isinstance(meter.watts(0.0), NotMeasured):
                    return meter
        return NotMeasured("ina2xx: none")

    def watts(self, now: float) -> float | NotMeasured:  # noqa: ARG002 - it measures by itself
        """Watts of the chip's last conversion."""
        microwatts = read_number(self._path / "power1_input")
        if not isinstance(microwatts, NotMeasured):
            return plausible(microwatts / 1e6, self.name)
        # in0 is the drop over the shunt, in1 the bus.
        factors = gather(read_number(self._path / name) for name in ("in1_input", "curr1_input"))
        return factors if isinstance(factors, NotMeasured) else plausible(math.prod(factors) / 1e6, self.name)
