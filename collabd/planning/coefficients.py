"""The formulas of `predict` as coefficients of a plan's features (`Candidates.features`), for plans of one companion.

Where the file travels as it came, it is prepared there and not here, and nothing waits for the lane; what the device
always does besides is counted either way.
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
    asked_s, lane_s = cloud.rtt_s + cloud.queue_s, device.queue_s + ask.prep_s
    return np.array(
        # work, up, down, remote, tail, file, prepared, asked
        (
            (work, up, down, remote, 0.0, file_s + file_prep_s + always_s, lane_s + always_s, asked_s),
            (0.0, up, down, 0.0, 0.0, file_s, 0.0, 0.0),
            (here * work, 0.0, 0.0, 0.0, 0.0, 0.0, here * lane_s, 0.0),
            (0.0, link * up, link * down, 0.0, 0.0, link * file_s, 0.0, 0.0),
            (0.0, 0.0, 0.0, there * remote, 0.0, there * file_prep_s, 0.0, there * cloud.queue_s),
        )
    )


def bills(device: DeviceState, cloud: CloudState, ask: Ask) -> Column:
    """Float64 [4, 8]: energy and cost, then by how much both deviate where all that varies deviates at once.

    Sending takes a constant energy a bit, since power grows with the rate as time shrinks with it, and the base power
    for as long as it lasts. What waits for the lane draws idle power, as what waits for the companion.
    """
    price, per_second = cloud.price_per_gb / 1e9, cloud.speed * cloud.price_per_second
    busy_w, idle_w, on_air_w = device.busy_w, device.idle_w, device.tx_base_w + device.idle_w
    bit_j, always_j = 8 * device.tx_w_per_mbps / 1e6, device.busy_w * device.overhead_s
    up_j, down_j, remote_j = cloud.up_s_per_byte * on_air_w, cloud.down_s_per_byte * on_air_w, idle_w * cloud.speed
    prep_j, lane_j, prep_there_j = busy_w * ask.prep_s, idle_w * device.queue_s, ask.cloud_prep_s * remote_j
    here, link, there = device.spread, cloud.link_spread, cloud.speed_spread
    file_j, queue_j = ask.file_bytes * (bit_j + up_j) + prep_there_j + always_j, idle_w * cloud.queue_s
    file_varies_j = link * ask.file_bytes * up_j + there * prep_there_j
    prepared_j, asked_j = prep_j + lane_j + always_j, idle_w * cloud.rtt_s + queue_j
    return np.array(
        # work, up, down, remote, tail, file, prepared, asked
        (
            (busy_w * device.speed, bit_j + up_j, bit_j + down_j, remote_j, 0.0, file_j, prepared_j, asked_j),
            (0.0, price, price, 0.0, per_second, ask.file_bytes * price, 0.0, cloud.price_per_request),
            (
                *(here * busy_w * device.speed, link * up_j, link * down_j, there * remote_j, 0.0),
                *(file_varies_j, here * (prep_j + lane_j), there * queue_j),
            ),
            (0.0, 0.0, 0.0, 0.0, there * per_second, 0.0, 0.0, 0.0),
        )
    )
