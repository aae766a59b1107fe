"""The share of time in which some task waited for a core (the kernel's pressure stall information)."""

from __future__ import annotations

import math
import re
from pathlib import Path

from collabd.sensing.files import read_text
from collabd.sensing.reading import Measured, NotMeasured, Reading

# Over less time than this a share says little. Clock and counter are read up to so much apart.
_LEAST_S = 0.1
_APART_S = 1e-3
_SOME = re.compile(r"^some avg10=([0-9.]+) .*total=([0-9]+)$", re.MULTILINE | re.ASCII)


class CpuPressure:
    """The share, 0 to 1, since the previous sample; for the first sample the kernel's mean over 10 s."""

    def __init__(self, root: Path) -> None:
        self._path = root / "proc/pressure/cpu"
        self._before: tuple[float, float] | None = None
        self._last: Measured[float] = NotMeasured("no sample yet")

    def read(self, now: float) -> Measured[float]:
        """The pressure. Raspberry Pi OS measures it only with `psi=1` on the kernel's command line."""
        text = read_text(self._path)
        if isinstance(text, NotMeasured):
            return NotMeasured(f"{text.reason} (psi=1 on the kernel's command line turns it on)")
        parsed = parse_pressure(text)
        if parsed is None:
            return NotMeasured(f"{self._path}: it has no line 'some'")
        average, stalled_s = parsed
        if self._before is None:
            self._last = Reading(average, now, spread=average / 2)
            self._before = now, stalled_s
        else:
            self._measure(now, stalled_s, before=self._before)
        return self._last

    def _measure(self, now: float, stalled_s: float, *, before: tuple[float, float]) -> None:
        time, stalled_before = before
        if now - time >= _LEAST_S:
            share = (stalled_s - stalled_before) / (now - time)
            self._last = Reading(min(max(share, 0.0), 1.0), now, spread=min(_APART_S / (now - time), 1.0))
            self._before = now, stalled_s


def parse_pressure(text: str) -> tuple[float, float] | None:
    """The mean share over 10 s, and the seconds stalled since boot, from the line `some`."""
    found = _SOME.search(text)
    try:
        average, stalled_s = (float(found[1]) / 100, float(found[2]) / 1e6) if found else (math.nan, math.nan)
    except ValueError:
        return None
    return (average, stalled_s) if 0 <= average <= 1 and math.isfinite(stalled_s) else None
