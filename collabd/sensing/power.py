"""What the board draws: a model by board, where nothing measures it.

Busy and idle are whole-board figures at the USB supply. Pi 4: idle 2.3 W and 5.2 W at high CPU load with WLAN
(chipwired.com, 36 measurements). Pi 3: idle 1.3 W headless (Velasco-Montero et al., 2018). The others are estimates
between the published idle and maximum figures of their makers; measure yours and put it into the configuration.
Transmission: the slope and base of WLAN in Huang et al., MobiSys 2012 (283.17 mW a Mbit/s, 132.86 mW), measured on
phones; a Pi's radio is neither, so these are the first to replace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class BoardPower:
    """Watts of the whole board, and watts above idle that sending takes at a rate: slope * Mbit/s + base."""

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


def board_power(board: str, **measured: float | None) -> BoardPower:
    """The model of `board` with whatever figures were measured in its place. Raises `KeyError` on an unknown board."""
    return replace(BOARDS[board], **{name: value for name, value in measured.items() if value is not None})
