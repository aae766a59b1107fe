"""Placements with several crossings, for calls whose pins or caps leave no good single cut."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from math import inf
from typing import TypeAlias

import numpy as np

from collab_sdk.vocabulary import Objective
from collabd.clock import Clock
from collabd.device.decide import steps
from collabd.device.decide.policy import CallPolicy
from collabd.device.decide.segments import ModelSegments
from collabd.device.job.job import JobStep, codec_name
from collabd.planning import CallFacts, Candidates, Caps, CloudState, DeviceState
from collabd.planning.candidates import Column
from collabd.planning.placements.chain import Chain
from collabd.planning.placements.placement import Placement, plan_of
from collabd.planning.placements.search import place

# The number of kinds of calls that are remembered.
_KINDS = 64
# The search runs again when a figure that the placement depends on has changed by more than this (natural logarithm).
_CHANGE = 0.1
# Searches that run beside the calls may take at most this share of the time.
_SHARE = 0.05
# Changes below these values mean nothing: 1 ms, and 1,000 bytes.
_SHORT_S, _FEW_BYTES = 1e-3, 1_000.0


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that the best placement of a call depends on. `plans`: the plans with one crossing or none."""

    plans: Candidates
    segments: tuple[ModelSegments, ...]
    device: DeviceState
    clouds: tuple[CloudState, ...]
    call: CallFacts
    caps: Caps
    policy: CallPolicy
    # The codec that the call asks for. None: the call leaves the choice to the daemon.
    codec: str | None
    quantile: float

    @cached_property
    def figures(self) -> Column:
        """The natural logarithms of the figures that change from call to call."""
        clouds = [
            figure
            for cloud in self.clouds
            for figure in (
                float(2 - cloud.up),
                max(cloud.rtt_s + cloud.queue_s, _SHORT_S),
                *(max(cloud.up_s_per_byte, 1e-12), max(cloud.down_s_per_byte, 1e-12), cloud.speed),
            )
        ]
        caps = (self.caps.latency_s, self.caps.energy_j, self.caps.cost)
        limits = (1.0 if cap is None else max(cap, 1e-12) for cap in caps)
        call = max(self.call.prep_s, _SHORT_S), max(float(self.call.source_bytes or 0), _FEW_BYTES)
        return np.log([self.device.speed, *call, *limits, *clouds])

    def is_like(self, other: Situation) -> bool:
        """Whether the other situation is so close that its best placement is very likely the same."""
        return self.plans is other.plans and bool(np.abs(self.figures - other.figures).max() < _CHANGE)


@dataclass(frozen=True, kw_only=True)
class FoundPlacement:
    """The best placement. Its plan is the last of `plans`, behind the plans with one crossing or none.

    `letters`: one letter for each layer. `cloud`: the index of the companion. `requests`: how many requests the
    companion gets.
    """

    letters: str
    cloud: int
    requests: int
    steps: tuple[JobStep, ...]
    # By index: the same steps on each other companion that can run them.
    elsewhere: Mapping[int, tuple[JobStep, ...]]
    plans: Candidates


@dataclass(frozen=True)
class _Search:
    situation: Situation
    placed: FoundPlacement | None


# The best placement there is; None: it has one crossing or none. It may take long to find.
FindPlacement: TypeAlias = Callable[[Situation], FoundPlacement | None]


class PlacementSearch:
    """Searches for placements beside the calls and remembers them. A search may take longer than a call can wait."""

    def __init__(self, clock: Clock, find: FindPlacement) -> None:
        self._clock = clock
        self._find = find
        self._known: OrderedDict[Hashable, _Search] = OrderedDict()
        self._under_way: dict[Hashable, asyncio.Task[_Search]] = {}
        self._pause_until = -inf

    async def place(self, kind: Hashable, situation: Situation, patience_s: float) -> FoundPlacement | None:
        """The best placement for calls of this kind. None: it has one crossing or none, or it is not known yet.

        The first call of a kind waits for the search, at most `patience_s` seconds. Later calls get the placement that
        is known, even if it was found for caps of another size. When the situation has changed, a later call may start
        a new search and does not wait for it.
        """
        known = self._known.get(kind)
        if known is not None and known.situation.plans is situation.plans:
            if not known.situation.is_like(situation) and self._clock() >= self._pause_until:
                self._task(kind, situation)
            return known.placed
        task = self._task(kind, situation)
        await asyncio.wait({task}, timeout=patience_s)
        # New plans may have replaced the plans that the search started from.
        found = task.result() if task.done() else None
        return found.placed if found is not None and found.situation.plans is situation.plans else None

    def _task(self, kind: Hashable, situation: Situation) -> asyncio.Task[_Search]:
        """The search for this kind that is under way; otherwise a new one."""
        if kind not in self._under_way:
            self._under_way[kind] = asyncio.create_task(self._search(kind, situation))
        return self._under_way[kind]

    async def _search(self, kind: Hashable, situation: Situation) -> _Search:
        began = self._clock()
        try:
            found = _Search(situation, await asyncio.to_thread(self._find, situation))
        finally:
            del self._under_way[kind]
            ended = self._clock()
            self._pause_until = ended + (ended - began) / _SHARE
        self._known[kind] = found
        self._known.move_to_end(kind)
        if len(self._known) > _KINDS:
            self._known.popitem(last=False)
        return found


def placed(situation: Situation) -> FoundPlacement | None:
    """The best placement. None: it has one crossing or none, so the plans of the situation include it already."""
    segments = situation.segments[0]
    # The slowest stage sets the pace of a stream, and the search can only add up stages. So it minimises the latency.
    objective = Objective.LATENCY if situation.caps.objective == Objective.THROUGHPUT else situation.caps.objective
    best = place(
        [_restricted(each.chain, situation.codec) for each in situation.segments],
        device=situation.device,
        clouds=situation.clouds,
        call=situation.call,
        caps=replace(situation.caps, objective=objective),
        quantile=situation.quantile,
        pins=situation.policy.pins(segments.starts, segments.layers),
    )
    if best.cloud is None or [side for side, _ in groupby(best.letters)] in (["C"], ["D", "C"]):
        return None
    segments = next(each for each in situation.segments if each.chain.cloud == best.cloud)
    letters = segments.placement(best.letters)
    made = steps.of_placement(best, segments)
    crossings = [step for step in made if step.crossing is not None]
    plan = plan_of(
        best.runs,
        cut=letters,
        codec=codec_name(run.up.codec for run in best.runs),
        cloud=len(situation.clouds),
        head_s=sum(step.run_s for step in made if step.crossing is None),
        tail_s=sum(step.run_s for step in crossings),
        local_tail_s=next(step.crossing.rest_s for step in crossings if step.crossing is not None),
    )
    return FoundPlacement(
        letters=letters,
        cloud=best.cloud,
        requests=len(best.runs),
        steps=made,
        elsewhere=dict(_elsewhere(best, segments, situation.segments)),
        plans=Candidates([*situation.plans.rows, plan]),
    )


def _elsewhere(
    best: Placement, segments: ModelSegments, of_all: Sequence[ModelSegments]
) -> Iterator[tuple[int, tuple[JobStep, ...]]]:
    for each in of_all:
        if each is not segments and each.starts == segments.starts:
            with suppress(LookupError):
                yield each.chain.cloud, steps.of_placement(best, each)


def _restricted(chain: Chain, codec: str | None) -> Chain:
    if codec is None:
        return chain
    return replace(chain, up=tuple(tuple(way for way in ways if way.codec == codec) for ways in chain.up))
