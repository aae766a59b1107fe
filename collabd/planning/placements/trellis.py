"""Placements as paths: layer k leads from the side that holds the frontier before segment k to the one that runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, compress, pairwise

import numpy as np

from collabd.planning.candidates import Column
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.predict import predict
from collabd.planning.state import CallFacts, CloudState, DeviceState

DEVICE, CLOUD = SIDES = (0, 1)
# What a step takes; all of it adds up along a path. LOSS is -log(fidelity); BUSY, LINK (its bytes) and REMOTE are
# the parts of latency that vary each on its own. ENERGY_VARIES and COST_VARIES are by how much these deviate.
LATENCY, ENERGY, COST, LOSS, BUSY, LINK, REMOTE, ENERGY_VARIES, COST_VARIES = range(9)
FIGURES = 9


@dataclass(frozen=True)
class Pins:
    """Segments that stay on the device: the first, the last, or all of them."""

    first: int = 0
    last: int = 0
    never_leave: bool = False

    def may_leave(self, segment: int, segments: int) -> bool:
        """Whether a companion may run `segment`, counted from 0."""
        return not self.never_leave and self.first <= segment < segments - self.last


NO_PINS = Pins()


@dataclass(frozen=True)
class TrellisLayer:
    """`ways[a][b]` has a row of figures for each way from side a to side b; `up` and `down` name the crossing ones."""

    ways: tuple[tuple[Column, Column], tuple[Column, Column]]
    up: tuple[CrossingOption, ...]
    down: tuple[CrossingOption, ...]

    @cached_property
    def listed(self) -> list[list[list[list[float]]]]:
        """The ways as lists, which Python reads faster one by one."""
        return [[rows.tolist() for rows in ways] for ways in self.ways]


@dataclass(frozen=True)
class _Segment:
    """Rows of figures: here, there, and for each way in and back out."""

    here: Column
    up: Column
    there: Column
    down: Column
    ups: tuple[CrossingOption, ...] = ()
    downs: tuple[CrossingOption, ...] = ()


_NO_WAY = np.zeros((0, FIGURES))
_NOTHING = np.zeros((1, FIGURES))
_START = _Segment(_NO_WAY, _NO_WAY, _NO_WAY, _NO_WAY)
_HOME = _Segment(_NOTHING, _NO_WAY, _NO_WAY, _NO_WAY)


def trellis(
    chain: Chain, device: DeviceState, cloud: CloudState, call: CallFacts, pins: Pins, quantile: float
) -> tuple[TrellisLayer, ...]:
    """A layer a segment, and one that brings the answer home. Paths start and end on the device."""
    segments = _segments(chain, device, cloud, call, quantile)
    leave = [pins.may_leave(k, len(chain)) for k in range(len(chain))]
    steps = pairwise((_START, *segments, _HOME))
    return tuple(_layer(before, segment, may) for (before, segment), may in zip(steps, (*leave, False), strict=True))


def with_requests(cloud: CloudState, requests: int) -> CloudState:
    """The companion with the fixed costs of that many requests in place of one's."""
    return replace(
        cloud,
        rtt_s=requests * cloud.rtt_s,
        queue_s=requests * cloud.queue_s,
        price_per_request=requests * cloud.price_per_request,
    )


def _layer(before: _Segment, segment: _Segment, may_leave: bool) -> TrellisLayer:
    out, on = (segment.up + segment.there, segment.there) if may_leave else (_NO_WAY, _NO_WAY)
    back = before.down + segment.here
    return TrellisLayer(((segment.here, out), (back, on)), segment.ups, before.downs)


def _segments(chain: Chain, device: DeviceState, cloud: CloudState, call: CallFacts, quantile: float) -> list[_Segment]:
    figures, possible = _figures(chain, device, cloud, call, quantile)
    ends = list(accumulate(chain.sizes))
    found = []
    for k, (up, down) in enumerate(zip(chain.up, chain.down, strict=True)):
        a, b, c, d, e = ends[4 * k : 4 * k + 5]
        sendable = possible[b:c]
        ups = tuple(compress(up, sendable))
        found.append(_Segment(figures[a:b], figures[b:c][sendable], figures[c:d], figures[d:e], ups, down))
    return found


def _figures(
    chain: Chain, device: DeviceState, cloud: CloudState, call: CallFacts, quantile: float
) -> tuple[Column, np.typing.NDArray[np.bool_]]:
    """For each of the chain's steps its figures, and whether it is possible."""
    steps = chain.steps
    twice = replace(call, cloud_prep_s=(call.cloud_prep_s[chain.cloud],) * 2)
    got = predict(steps, device=device, clouds=(cloud, with_requests(cloud, 0)), call=twice, quantile=quantile)
    phases = got.phases
    remote = phases.queue_s + phases.remote_s
    with np.errstate(divide="ignore"):
        loss = -np.log(steps.fidelity)
    varying = (phases.lane_s + phases.busy_s, got.transfer_s, remote)
    varies = (got.energy_deviation_j, got.cost_deviation)
    figures = np.column_stack([got.latency_s, got.energy_j, got.cost, loss, *varying, *varies])
    # Each row has prepared the image; of a placement only the first step does.
    first = 2 + len(chain.up[0])
    figures[first:] -= figures[0]
    return figures, got.possible
