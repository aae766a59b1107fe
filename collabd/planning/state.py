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
    # Of every call, beside its parts.
    overhead_s: float = 0.0
    # What a call that needs the device's lane waits for it, since others have it.
    queue_s: float = 0.0


@dataclass(frozen=True)
class CloudState:
    """A companion and the link to it.

    An exchange takes `rtt_s + up_bytes * up_s_per_byte + down_bytes * down_s_per_byte`, beside the companion's work.
    """

    name: str
    up: bool
    rtt_s: float
    up_s_per_byte: float
    down_s_per_byte: float
    # Relative deviation of what the bytes take; the round trip is no lottery.
    link_spread: float
    speed: float
    speed_spread: float
    queue_s: float
    price_per_gb: float = 0.0
    price_per_second: float = 0.0
    price_per_request: float = 0.0
    # Not up, since it asked to be left alone for now.
    busy: bool = False
    # Since a call was last sent there; infinite: none was yet.
    unasked_s: float = 0.0


# What a local row is evaluated with: nothing travels, nothing is charged.
NOWHERE = CloudState("", True, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
