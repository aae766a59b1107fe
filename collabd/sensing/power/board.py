"""A model of the power that a board draws, for machines where nothing measures it.

Busy and idle are whole-board figures at the USB supply; busy means all four cores. Pi 4: idle 2.3 W and 5.2 W at high
CPU load with WLAN (chipwired.com, 36 measurements). Pi 3: idle 1.3 W headless (Velasco-Montero et al., 2018). Zero 2 W:
idle 0.6 W (cnx-software.com, December 2021). The others are estimates between the published idle and maximum figures of
their makers; measure yours and put it into the configuration.
Transmission: the slope and base of WLAN in Huang et al., MobiSys 2012 (283.17 mW a Mbit/s, 132.86 mW). They were
measured on phones, whose radios differ from a Pi's, so these figures are the first to replace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from collabd.sensing.files import read_text
from collabd.sensing.reading import NotMeasured


@dataclass(frozen=True, kw_only=True)
class BoardPower:
    """Watts of the whole board. Sending at r Mbit/s draws `tx_w_per_mbps` * r + `tx_base_w` more than idle."""

    busy_w: float
    idle_w: float
    tx_w_per_mbps: float = 0.28317
    tx_base_w: float = 0.13286


BOARDS = {
    "pi3": BoardPower(busy_w=3.7, idle_w=1.3),
    "pi4": BoardPower(busy_w=5.2, idle_w=2.3),
    "pi5": BoardPower(busy_w=7.0, idle_w=2.7),
    "zero2w": BoardPower(busy_w=2.2, idle_w=0.6),
}
# A board whose only figures are those in the configuration.
CUSTOM = "custom"

# /proc/device-tree is a link to the second, which stays visible where a unit's ProcSubset=pid hides the first.
_MODEL_FILES = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")
# "Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi 400 Rev 1.0", "Raspberry Pi Compute Module 5 Rev 1.0",
# "Raspberry Pi Zero 2 W Rev 1.0"
_MODEL = re.compile(r"Raspberry Pi (?:Compute Module )?(?:(?P<zero>Zero 2)|(?P<family>[345])(?:00)?(?!\d))", re.ASCII)


def board_power(board: str, **measured: float | None) -> BoardPower:
    """The model of `board`, in which measured figures replace the model's.

    Raises `KeyError` on an unknown board, `ValueError` if the board is `custom` and busy or idle is missing.
    """
    known = {name: value for name, value in measured.items() if value is not None}
    if board != CUSTOM:
        return replace(BOARDS[board], **known)
    if missing := sorted({"busy_w", "idle_w"} - known.keys()):
        raise ValueError(f"a custom board needs {' and '.join(missing)}: measure them at its supply")
    return BoardPower(**known)


def recognise(root: Path) -> str | NotMeasured:
    """The name in `BOARDS` of the board that this is, by its device tree, or why it is none of them."""
    texts = [read_text(root / name) for name in _MODEL_FILES]
    model = next((text for text in texts if not isinstance(text, NotMeasured)), None)
    if model is None:
        return NotMeasured("there is no device tree, so this is not a Raspberry Pi")
    found = _MODEL.match(model)
    if found is None:
        return NotMeasured(f"there are no figures for {model[:60]!r}")
    return "zero2w" if found["zero"] else f"pi{found['family']}"
