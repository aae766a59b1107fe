"""A device, a companion and a split of a network between them, for formulas that are worked out by hand."""

from __future__ import annotations

from collabd.planning import Candidate, CloudState, DeviceState

DEVICE = DeviceState(speed=2.0, spread=0.1, busy_w=5.0, idle_w=2.0, tx_w_per_mbps=0.3, tx_base_w=0.1)
CLOUD = CloudState(
    name="pc",
    up=True,
    rtt_s=0.02,
    up_s_per_byte=1e-6,
    down_s_per_byte=2e-6,
    link_spread=0.2,
    speed=1.5,
    speed_spread=0.1,
    queue_s=0.003,
    price_per_gb=2.0,
    price_per_second=0.5,
    price_per_request=0.001,
)
SPLIT = Candidate(
    cut="mid",
    codec="q8",
    cloud=0,
    head_s=0.04,
    encode_s=0.001,
    up_bytes=9_000,
    down_bytes=1_000,
    decode_s=0.002,
    tail_s=0.01,
    local_tail_s=0.06,
    fidelity=0.99,
)
