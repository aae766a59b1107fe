"""Placements as paths through a trellis, whose steps have the figures that planning judges by.

Layer k leads from the side that holds the frontier before segment k to the side that runs the segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, pairwise

import numpy as np
import numpy.typing as npt

from collabd.planning.candidates import Column
from collabd.planning.placements.chain import Chain, CrossingOption
from collabd.planning.predict import predict
from collabd.planning.state import CallFacts, CloudState, DeviceState

DEVICE, CLOUD = SIDES = (0, 1)
# What a step takes; each figure adds up along a path. LOSS is -log(fidelity). BUSY, LINK (its bytes) and REMOTE are the
# parts of latency that vary independently. ENERGY_VARIES and COST_VARIES are the deviations of energy and cost.
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
    """`options[a][b]` has a row of figures for each way to get from side a to side b.

    `up` and `down` say which codec each row of `options[DEVICE][CLOUD]` and `options[CLOUD][DEVICE]` stands for.
    """

    options: tuple[tuple[Column, Column], tuple[Column, Column]]
    up: tuple[CrossingOption, ...]
    down: tuple[CrossingOption, ...]

    @cached_property
    def listed(self) -> list[list[list[list[float]]]]:
        """The options as lists, which Python reads faster one by one."""
        return [[rows.tolist() for rows in options] for options in self.options]


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """Rows of figures: of its run on the device, of each way up, of its run on the companion, of each way down."""

    here: Column
    up: Column
    there: Column
    down: Column
    up_options: tuple[CrossingOption, ...] = ()
    down_options: tuple[CrossingOption, ...] = ()


_NO_OPTION = np.zeros((0, FIGURES))
_NOTHING = np.zeros((1, FIGURES))
# What is before the first segment, and what is behind the last: the device, with nothing left to do.
_START = _Segment(here=_NO_OPTION, up=_NO_OPTION, there=_NO_OPTION, down=_NO_OPTION)
_HOME = _Segment(here=_NOTHING, up=_NO_OPTION, there=_NO_OPTION, down=_NO_OPTION)


def trellis(
    chain: Chain, *, device: DeviceState, cloud: CloudState, call: CallFacts, pins: Pins, quantile: float
) -> tuple[TrellisLayer, ...]:
    """A layer for each segment, and a last one that brings the answer home. Paths start and end on the device."""
    figures, possible = _figures(chain, device=device, cloud=cloud, call=call, quantile=quantile)
    leave = [pins.may_leave(k, len(chain)) for k in range(len(chain))]
    steps = pairwise((_START, *_segments(chain, figures, possible), _HOME))
    return tuple(_layer(before, segment, may) for (before, segment), may in zip(steps, (*leave, False), strict=True))


def with_requests(cloud: CloudState, requests: int) -> CloudState:
    """The companion, whose fixed costs a request are those of that many requests."""
    return replace(
        cloud,
        rtt_s=requests * cloud.rtt_s,
        queue_s=requests * cloud.queue_s,
        price_per_request=requests * cloud.price_per_request,
    )


def _layer(before: _Segment, segment: _Segment, may_leave: bool) -> TrellisLayer:
    out, on = (segment.up + segment.there, segment.there) if may_leave else (_NO_OPTION, _NO_OPTION)
    back = before.down + segment.here
    return TrellisLayer(((segment.here, out), (back, on)), segment.up_options, before.down_options)


def _segments(chain: Chain, figures: Column, possible: npt.NDArray[np.bool_]) -> Iterator[_Segment]:
    """The rows of `chain.steps`, by segment; a way up that is not possible (there is no file to send) is left out."""
    end = 1
    for up, down in zip(chain.up, chain.down, strict=True):
        here = end
        there = here + 1 + len(up)
        end = there + 1 + len(down)
        sendable = possible[here + 1 : there]
        yield _Segment(
            here=figures[here : here + 1],
            up=figures[here + 1 : there][sendable],
            there=figures[there : there + 1],
            down=figures[there + 1 : end],
            up_options=tuple(compress(up, sendable)),
            down_options=down,
        )


def _figures(
    chain: Chain, *, device: DeviceState, cloud: CloudState, call: CallFacts, quantile: float
) -> tuple[Column, npt.NDArray[np.bool_]]:
    """The figures of each of the chain's steps, and whether each is possible."""
    steps = chain.steps
    clouds = cloud, with_requests(cloud, 0)
    call = replace(call, cloud_prep_s=(call.cloud_prep_s[chain.cloud],) * len(clouds))
    got = predict(steps, device=device, clouds=clouds, call=call, quantile=quantile)
    phases = got.phases
    figures = np.empty((len(steps), FIGURES))
    figures[:, LATENCY], figures[:, ENERGY], figures[:, COST] = got.latency_s, got.energy_j, got.cost
    with np.errstate(divide="ignore"):
        figures[:, LOSS] = -np.log(steps.fidelity)
    figures[:, BUSY] = phases.lane_s + phases.busy_s
    figures[:, LINK], figures[:, REMOTE] = got.transfer_s, phases.queue_s + phases.remote_s
    figures[:, ENERGY_VARIES], figures[:, COST_VARIES] = got.energy_deviation_j, got.cost_deviation
    # Each row counts the preparation of the image, but of a path only its first step prepares it.
    first = 2 + len(chain.up[0])
    figures[first:] -= figures[0]
    return figures, got.possible
