"""The energy of a call on the device: one formula, for what is predicted, for what was measured and for simulations.

A machine draws its busy power while it works, and its idle power while it waits. A radio takes a constant energy a bit,
since its power grows with the rate as its time shrinks with it, and its base power for as long as the bytes are on the
air (Huang et al., MobiSys 2012). The round trip is no air time: then the radio is silent.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from collabd.planning.candidates import Column

Figure = TypeVar("Figure", float, Column)


class PowerModel(Protocol):
    """Watts of the whole device; sending at r Mbit/s draws `tx_w_per_mbps` * r + `tx_base_w` more than idle."""

    @property
    def busy_w(self) -> float:
        """While it works."""

    @property
    def idle_w(self) -> float:
        """While it waits."""

    @property
    def tx_w_per_mbps(self) -> float:
        """What the radio's power grows by with the rate."""

    @property
    def tx_base_w(self) -> float:
        """What the radio draws at any rate."""


def energy_j(power: PowerModel, *, busy_s: Figure, idle_s: Figure, air_s: Figure, moved_bytes: Figure) -> Figure:
    """Joules for seconds of work and of waiting; of the latter, `air_s` moved bytes (up and down) over the air.

    It is a sum of products, so that it holds for the coefficients of a formula as it holds for seconds and bytes.
    """
    radio_j = power.tx_w_per_mbps * 8 / 1e6 * moved_bytes + power.tx_base_w * air_s
    return power.busy_w * busy_s + power.idle_w * idle_s + radio_j
