"""How the device, the link and a companion are right now, as far as planning cares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceState:
    """`speed`: how many times longer a run takes now than when it was profiled; `spread`: its relative deviation."""

    speed: float
    spread: float
    busy_w: float
    idle_w: float
    # Transmit power above idle at rate r: tx_w_per_mbps * r + tx_base_w (Huang et al., MobiSys 2012).
    tx_w_per_mbps: float
    tx_base_w: float


@dataclass(frozen=True)
class CloudState:
    """A companion and the link to it. A transfer of n bytes takes `offset_s + n * s_per_byte`, there and back."""

    name: str
    up: bool
    offset_s: float
    s_per_byte: float
    link_spread: float
    speed: float
    speed_spread: float
    queue_s: float
    price_per_gb: float = 0.0
    price_per_second: float = 0.0
    price_per_request: float = 0.0


# What a local row is evaluated with: nothing travels, nothing is charged.
NOWHERE = CloudState("", True, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
