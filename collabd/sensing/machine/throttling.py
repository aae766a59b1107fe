"""Whether a Raspberry Pi's firmware holds the processor back, now or earlier, and why.

Raspberry Pi's kernels from 4.14 to 6.12 show the firmware's word in sysfs. It was removed in March 2025
(raspberrypi/linux#6697), and mainline never had it. Without it there is `vcgencmd get_throttled`, or the hwmon driver
rpi_volt, which knows about under-voltage alone. The kernel asks the firmware every 2 s, and each time makes it forget
its history. So the history in sysfs and hwmon is of 2 s only, and this module remembers what it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from collabd.sensing.files import read_number, read_text
from collabd.sensing.machine.firmware import Vcgencmd
from collabd.sensing.reading import Every, Measured, NotMeasured, Reading

# The name of the node is soc:firmware up to the Pi 4 and soc@107c000000:firmware on the Pi 5.
_SYSFS = "soc*/soc*:firmware/get_throttled"
# Starting a process takes a Pi some 10 ms: 0.2 % of a core at this interval.
_VCGENCMD_EVERY_S = 5.0
_WORD = re.compile(r"(?:throttled=)?(?:0x)?([0-9a-f]{1,8})", re.IGNORECASE | re.ASCII)
_HISTORY_SHIFT = 16

Since = Literal["boot", "start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Each flag is None where the source does not tell.

    `under_voltage`: the supply is under 4.63 V. `throttled`: by heat or under-voltage. `soft_temperature_limit`: it is
    reached; it is 60 degrees by default, and only the Pi 3B+ and 3A+ have it.
    """

    under_voltage: bool | None = None
    frequency_capped: bool | None = None
    throttled: bool | None = None
    soft_temperature_limit: bool | None = None

    def __or__(self, other: Flags) -> Flags:
        mine, theirs = asdict(self), asdict(other)
        return Flags(**{name: _either(mine[name], theirs[name]) for name in mine})


def _either(a: bool | None, b: bool | None) -> bool | None:
    return b if a is None else a if b is None else a or b


@dataclass(frozen=True, slots=True)
class Throttling:
    """The flags that are up now, and those that were ever up since the machine booted or since this process started."""

    now: Flags
    seen: Flags
    since: Since


class _Source(NamedTuple):
    ask: Callable[[], tuple[Flags, Flags] | NotMeasured]  # flags now, and of the history
    since: Since
    every_s: float


class ThrottlingSensor:
    """The firmware's flags, from the first of the three sources that answers when this is made."""

    def __init__(self, root: Path, vcgencmd: Vcgencmd) -> None:
        self._source = _first_answering(root, vcgencmd)
        self._every = Every(self._source.every_s)
        self._seen = Flags()
        self._last: Measured[Throttling] = NotMeasured("no sample yet")

    def read(self, now: float) -> Measured[Throttling]:
        """The flags. `vcgencmd` is not run at each call; the time of the reading says when it was."""
        if self._every.due(now):
            self._last = self._ask(now)
        return self._last

    def _ask(self, now: float) -> Measured[Throttling]:
        flags = self._source.ask()
        if isinstance(flags, NotMeasured):
            return flags
        current, history = flags
        self._seen |= current | history
        return Reading(Throttling(current, self._seen, self._source.since), now, spread=0.0)


def parse_word(text: str) -> int | None:
    """The firmware's word, from `throttled=0x50005` or sysfs's `50005`."""
    found = _WORD.fullmatch(text.strip())
    return int(found[1], 16) if found else None


def decode(bits: int) -> Flags:
    """Flags of the lower four bits."""
    return Flags(
        under_voltage=bool(bits & 1),
        frequency_capped=bool(bits & 2),
        throttled=bool(bits & 4),
        soft_temperature_limit=bool(bits & 8),
    )


def _first_answering(root: Path, vcgencmd: Vcgencmd) -> _Source:
    sysfs = sorted((root / "sys/devices/platform").glob(_SYSFS))
    hwmon = sorted((root / "sys/class/hwmon").glob("hwmon*/in0_lcrit_alarm"))
    sources = [
        *(_Source(partial(_sysfs_word, path), "start", 0.0) for path in sysfs),
        _Source(lambda: _word(vcgencmd("get_throttled")), "boot", _VCGENCMD_EVERY_S),
        *(_Source(partial(_alarm, path), "start", 0.0) for path in hwmon if _is_pi(path)),
    ]
    reasons = []
    for source in sources:
        answer = source.ask()
        if not isinstance(answer, NotMeasured):
            return source
        reasons.append(answer.reason)
    none = NotMeasured("; ".join(reasons))
    return _Source(lambda: none, "start", 0.0)


def _sysfs_word(path: Path) -> tuple[Flags, Flags] | NotMeasured:
    return _word(read_text(path))


def _word(text: str | NotMeasured) -> tuple[Flags, Flags] | NotMeasured:
    if isinstance(text, NotMeasured):
        return text
    word = parse_word(text)
    if word is None:
        return NotMeasured(f"get_throttled: cannot read {text.strip()[:40]!r}")
    return decode(word), decode(word >> _HISTORY_SHIFT)


def _is_pi(alarm: Path) -> bool:
    return read_text(alarm.parent / "name") == "rpi_volt"


def _alarm(path: Path) -> tuple[Flags, Flags] | NotMeasured:
    alarm = read_number(path)
    if isinstance(alarm, NotMeasured):
        return alarm
    flags = Flags(under_voltage=alarm != 0)
    return flags, flags
