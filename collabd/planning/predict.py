"""What each candidate plan would take now: one vectorised evaluation of the formulas of Neurosurgeon's family.

latency = prep + head*s_dev + enc*s_dev + up + queue + dec*s_cloud + tail*s_cloud
energy  = P_busy*(prep + head + enc) + E_tx + P_idle*(everything waited for)
cost    = price per GB * bytes + price per companion-second * tail + price per request
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from collabd.planning.candidates import Candidates, Column
from collabd.planning.state import NOWHERE, CloudState, DeviceState


@dataclass(frozen=True)
class Request:
    """What is known of one call before it runs: seconds to decode and resize its image here and on each companion,
    and the size of its file (None: the caller gave pixels, so nothing can be sent as it came)."""

    prep_s: float
    cloud_prep_s: tuple[float, ...]
    source_bytes: int | None


@dataclass(frozen=True)
class Prediction:
    """One figure a candidate: seconds, joules, and the currency of the prices."""

    latency_s: Column
    # The latency that the deadline quantile of calls stays under.
    deadline_s: Column
    energy_j: Column
    cost: Column
    # The three stages that overlap in a stream: this device's work, the bytes on the link, the companion's work.
    busy_s: Column
    transfer_s: Column
    remote_s: Column
    prep_s: Column
    head_s: Column
    encode_s: Column
    link_s: Column
    queue_s: Column
    decode_s: Column
    tail_s: Column
    up_bytes: Column
    # False where the companion is down, or a file would have to be sent and there is none.
    possible: np.typing.NDArray[np.bool_]


def predict(
    plans: Candidates, device: DeviceState, clouds: Sequence[CloudState], request: Request, quantile: float
) -> Prediction:
    """Evaluate every plan; `quantile` (0.5..1) says how safe `deadline_s` shall be."""

    def cloud(name: str) -> Column:
        return np.array([getattr(state, name) for state in (*clouds, NOWHERE)], dtype=np.float64)[plans.cloud]

    cloud_prep_s = np.array([*request.cloud_prep_s, 0.0])[plans.cloud]
    up_bytes = plans.up_bytes + np.where(plans.source, float(request.source_bytes or 0), 0.0)
    moved = up_bytes + plans.down_bytes
    prep = np.where(plans.source, 0.0, request.prep_s)
    head = plans.head_s * device.speed
    encode = plans.encode_s * device.speed
    transfer = np.where(plans.local, 0.0, moved * cloud("s_per_byte"))
    link = cloud("offset_s") + transfer
    queue = cloud("queue_s")
    decode = np.where(plans.source, cloud_prep_s, plans.decode_s) * cloud("speed")
    tail = plans.tail_s * cloud("speed")

    busy = prep + head + encode
    remote = decode + tail
    waited = link + queue + remote
    latency = busy + waited
    deviation = np.sqrt(
        (device.spread * busy) ** 2
        + (cloud("link_spread") * link) ** 2
        + (cloud("speed_spread") * (remote + queue)) ** 2
    )
    return Prediction(
        latency_s=latency,
        deadline_s=latency + NormalDist().inv_cdf(quantile) * deviation,
        energy_j=device.busy_w * busy + device.idle_w * waited + _transmit_j(device, moved, cloud("s_per_byte")),
        cost=moved * cloud("price_per_gb") / 1e9 + tail * cloud("price_per_second") + cloud("price_per_request"),
        busy_s=busy,
        transfer_s=transfer,
        remote_s=remote,
        prep_s=prep,
        head_s=head,
        encode_s=encode,
        link_s=link,
        queue_s=queue,
        decode_s=decode,
        tail_s=tail,
        up_bytes=up_bytes,
        possible=(cloud("up") > 0) & ~(plans.source & (request.source_bytes is None)),
    )


def _transmit_j(device: DeviceState, moved: Column, s_per_byte: Column) -> Column:
    """Joules of sending: rate-proportional power times the time on air is a constant a bit, plus the base power."""
    per_bit = device.tx_w_per_mbps / 1e6
    return np.where(s_per_byte > 0, moved * (8 * per_bit + s_per_byte * device.tx_base_w), 0.0)
