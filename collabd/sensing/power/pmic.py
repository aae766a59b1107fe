"""The power management chip of the Raspberry Pi 5, through its firmware."""

from __future__ import annotations

import re
from collections.abc import Iterable

from collabd.sensing.machine.firmware import Vcgencmd
from collabd.sensing.power.meter import plausible
from collabd.sensing.reading import NotMeasured

# "  VDD_CORE_A current(7)=1.08053000A" and "  VDD_CORE_V volt(15)=0.72178200V"
_LINE = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)[AV]\s*$", re.MULTILINE | re.ASCII)
_PROCESSOR = "VDD_CORE"


class Pmic:
    """The sum over the chip's rails of volts times amperes.

    It leaves out what goes directly from the 5 V input to USB, HATs and NVMe, and the losses of conversion. By a meter
    at its input, one board drew 1.1451 times the sum plus 0.59 W (github.com/jfikar/RPi5-power).
    """

    name = "pmic"
    covers = "the board's rails, without the 5 V rail and its USB ports"
    prompt = True
    # Starting a process takes a Pi some 10 ms: half a per cent of a core at this interval.
    every_s = 2.0

    def __init__(self, vcgencmd: Vcgencmd) -> None:
        self._vcgencmd = vcgencmd

    @classmethod
    def find(cls, vcgencmd: Vcgencmd) -> Pmic | NotMeasured:
        """The chip, if the firmware reads it."""
        meter = cls(vcgencmd)
        watts = meter.watts(0.0)
        return watts if isinstance(watts, NotMeasured) else meter

    def watts(self, now: float) -> float | NotMeasured:  # noqa: ARG002 - it measures by itself
        """Watts at this moment."""
        text = self._vcgencmd("pmic_read_adc")
        if isinstance(text, NotMeasured):
            return NotMeasured(f"pmic: {text.reason}")
        watts = rails_watts(text)
        return watts if isinstance(watts, NotMeasured) else plausible(watts, self.name)


def rails_watts(text: str) -> float | NotMeasured:
    """Watts of all rails in what `vcgencmd pmic_read_adc` printed. If some rails are missing, nothing is measured."""
    amperes, volts = (_column(text, unit) for unit in ("A", "V"))
    if _PROCESSOR not in amperes:
        return NotMeasured(f"pmic: no rail {_PROCESSOR}")
    unpaired = sorted(amperes.keys() - volts.keys())
    if unpaired:
        return NotMeasured(f"pmic: no voltage for {', '.join(unpaired)}")
    return sum(current * volts[rail] for rail, current in amperes.items())


def _column(text: str, unit: str) -> dict[str, float]:
    found: Iterable[tuple[str, str, str]] = _LINE.findall(text)
    return {rail: float(value) for rail, kind, value in found if kind == unit}
