"""The formulas of `predict` as coefficients of a plan's features (`Candidates.features`), for plans of one companion.

Where the file travels as it came, it is prepared there and not here; what the device always does besides is counted
either way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.state import CloudState, DeviceState


class Ask(NamedTuple):
    """What one companion is asked to do for a call: seconds to prepare the file there and here, and its bytes."""

    cloud_prep_s: float
    prep_s: float
    file_bytes: float


def times(device: DeviceState, cloud: CloudState, ask: Ask) -> Column:
    """Float64 [5, 8]: the latency, the bytes' seconds on the link, and by how much the device, the bytes and the
    companion deviate."""
    work, up, down, remote = device.speed, cloud.up_s_per_byte, cloud.down_s_per_byte, cloud.speed
    here, link, there = device.spread, cloud.link_spread, cloud.speed_spread
    file_s, file_prep_s, always_s = ask.file_bytes * up, ask.cloud_prep_s * remote, device.overhead_s
    asked_s = cloud.rtt_s + cloud.queue_s
    return np.array(
        # work, up, down, remote, tail, file, prepared, asked
        (
            (work, up, down, remote, 0.0, file_s + file_prep_s + always_s, ask.prep_s + always_s, asked_s),
            (0.0, up, down, 0.0, 0.0, file_s, 0.0, 0.0),
            (here * work, 0.0, 0.0, 0.0, 0.0, 0.0, here * ask.prep_s, 0.0),
            (0.0, link * up, link * down, 0.0, 0.0, link * file_s, 0.0, 0.0),
            (0.0, 0.0, 0.0, there * remote, 0.0, there * file_prep_s, 0.0, there * cloud.queue_s),
        )
    )


def bills(device: DeviceState, cloud: CloudState, ask: Ask, margin: float) -> Column:
    """Float64 [4, 8]: energy and cost, then both if all that deviates takes `margin` deviations longer.

    Sending takes a constant energy a bit, since power grows with the rate as time shrinks with it, and the base power
    for as long as it lasts.
    """
    price = cloud.price_per_gb / 1e9

    def energy(margin: float) -> tuple[float, ...]:
        busy_w, idle_w = (1 + margin * device.spread) * device.busy_w, (1 + margin * cloud.speed_spread) * device.idle_w
        bit_j, on_air_w = 8 * device.tx_w_per_mbps / 1e6, (device.tx_base_w + device.idle_w)
        on_air_w *= 1 + margin * cloud.link_spread
        up_j, down_j = bit_j + cloud.up_s_per_byte * on_air_w, bit_j + cloud.down_s_per_byte * on_air_w
        remote_j, always_j = idle_w * cloud.speed, device.busy_w * device.overhead_s
        file_j = ask.file_bytes * up_j + ask.cloud_prep_s * remote_j + always_j
        asked_j = device.idle_w * cloud.rtt_s + idle_w * cloud.queue_s
        return busy_w * device.speed, up_j, down_j, remote_j, 0.0, file_j, busy_w * ask.prep_s + always_j, asked_j

    def cost(margin: float) -> tuple[float, ...]:
        tail = (1 + margin * cloud.speed_spread) * cloud.speed * cloud.price_per_second
        return 0.0, price, price, 0.0, tail, ask.file_bytes * price, 0.0, cloud.price_per_request

    return np.array((energy(0.0), cost(0.0), energy(margin), cost(margin)))
