"""What planning knows before a call runs: of the device, of the links and companions, and of the call itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """The device. `speed`: how many times longer a run takes now than profiled; `spread`: its relative deviation."""

    speed: float
    spread: float
    busy_w: float
    idle_w: float
    # Transmit power above idle at rate r: tx_w_per_mbps * r + tx_base_w (Huang et al., MobiSys 2012).
    tx_w_per_mbps: float
    tx_base_w: float
    # What every plan of the call takes beside its phases.
    overhead_s: float = 0.0
    # What a plan takes in addition for each exchange with a companion, and for each byte that it sends there.
    asking_s: float = 0.0
    asking_s_per_byte: float = 0.0
    # How long a call that needs the device's lane waits for other calls.
    queue_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CloudState:
    """A companion and the link to it.

    An exchange takes `rtt_s + up_bytes * up_s_per_byte + down_bytes * down_s_per_byte`, beside the companion's work.
    """

    name: str
    up: bool
    rtt_s: float
    up_s_per_byte: float
    down_s_per_byte: float
    # Relative deviation of the time that bytes take. The round trip does not vary.
    link_spread: float
    speed: float
    speed_spread: float
    queue_s: float
    price_per_gb: float = 0.0
    price_per_second: float = 0.0
    price_per_request: float = 0.0
    # It is not up because it asked to be left alone for now.
    busy: bool = False
    # Seconds since a call was last sent there; infinite: none was yet.
    unasked_s: float = 0.0


@dataclass(frozen=True)
class CallFacts:
    """What is known of one call before it runs: seconds to decode and resize its image here and on each companion, and
    the size of its file (None: the caller gave pixels, so no file can be sent as it came)."""

    prep_s: float
    cloud_prep_s: tuple[float, ...]
    source_bytes: int | None


# What local plans are evaluated with: nothing travels, nothing is charged.
NOWHERE = CloudState(
    name="",
    up=True,
    rtt_s=0.0,
    up_s_per_byte=0.0,
    down_s_per_byte=0.0,
    link_spread=0.0,
    speed=1.0,
    speed_spread=0.0,
    queue_s=0.0,
)
