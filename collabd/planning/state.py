"""What planning knows before a call runs: of the device, of the links and companions, and of the call itself."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

# Figures that differ by no more than this share, spreads by no more than this, and times by no more than these seconds,
# lead to the same plan.
_ALIKE = 1 / 32
_ALIKE_SPREAD = 1 / 8
_ALIKE_S = 1e-4


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
    # What a plan that stays on the device takes beside its phases.
    overhead_s: float = 0.0
    # What plans take more than that, or less, if they ask a companion, send it the file as it came, or run nothing.
    asks_more_s: float = 0.0
    sends_file_more_s: float = 0.0
    inherits_more_s: float = 0.0
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
    """What is known of one call before it runs: seconds to decode and resize its image here and on each companion, the
    size of its file (None: the caller gave pixels, so no file can be sent as it came), and seconds to make the caller's
    answer here of the network's outputs."""

    prep_s: float
    cloud_prep_s: tuple[float, ...]
    source_bytes: int | None
    _: KW_ONLY
    answer_s: float = 0.0
    # To decode and resize the image here for the little network of a pair.
    little_prep_s: float = 0.0


class Circumstances(NamedTuple):
    """All that the prediction for a call depends on beside the profiles.

    `clouds`: each companion; empty for a call that never leaves.
    """

    device: DeviceState
    clouds: tuple[CloudState, ...]
    call: CallFacts

    def are_like(self, others: Circumstances) -> bool:
        """Whether what was chosen in the `others` may be chosen in these."""
        return (
            len(self.clouds) == len(others.clouds)
            and _devices_alike(self.device, others.device)
            and all(map(_companions_alike, self.clouds, others.clouds))
            and _near_s(self.call.prep_s, others.call.prep_s)
            and _near_s(self.call.answer_s, others.call.answer_s)
            and _near_s(self.call.little_prep_s, others.call.little_prep_s)
        )


def _devices_alike(one: DeviceState, other: DeviceState) -> bool:
    return (
        _near(one.speed, other.speed)
        and abs(one.spread - other.spread) <= _ALIKE_SPREAD
        and _near(one.busy_w, other.busy_w)
        and _near(one.idle_w, other.idle_w)
        and _near(one.tx_w_per_mbps, other.tx_w_per_mbps)
        and _near(one.tx_base_w, other.tx_base_w)
        and _near_s(one.overhead_s, other.overhead_s)
        and abs(one.asks_more_s - other.asks_more_s) <= _ALIKE * one.overhead_s + _ALIKE_S
        and abs(one.sends_file_more_s - other.sends_file_more_s) <= _ALIKE * one.overhead_s + _ALIKE_S
        and abs(one.inherits_more_s - other.inherits_more_s) <= _ALIKE * one.overhead_s + _ALIKE_S
        and _near_s(one.asking_s, other.asking_s)
        and _near(one.asking_s_per_byte, other.asking_s_per_byte)
        and _near_s(one.queue_s, other.queue_s)
    )


def _companions_alike(one: CloudState, other: CloudState) -> bool:
    if (one.name, one.up, one.busy) != (other.name, other.up, other.busy):
        return False
    return not one.up or (
        _near_s(one.rtt_s, other.rtt_s)
        and _near(one.up_s_per_byte, other.up_s_per_byte)
        and _near(one.down_s_per_byte, other.down_s_per_byte)
        and abs(one.link_spread - other.link_spread) <= _ALIKE_SPREAD
        and _near(one.speed, other.speed)
        and abs(one.speed_spread - other.speed_spread) <= _ALIKE_SPREAD
        and _near_s(one.queue_s, other.queue_s)
        and one.price_per_gb == other.price_per_gb
        and one.price_per_second == other.price_per_second
        and one.price_per_request == other.price_per_request
    )


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * max(one, other)


def _near_s(one: float, other: float) -> bool:
    return abs(one - other) <= max(_ALIKE * max(one, other), _ALIKE_S)


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
