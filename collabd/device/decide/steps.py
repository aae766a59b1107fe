"""Makes the steps of a job from a chosen plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.decide.segments import ModelSegments
from collabd.device.job.job import Crossing, JobStep
from collabd.device.job.placement import Stage, stages
from collabd.planning import Candidate
from collabd.planning.placements.chain import CrossingOption
from collabd.planning.placements.placement import Placement


def of_plan(plan: Candidate, placement: str, manifest: Manifest) -> tuple[JobStep, ...]:
    """The steps of a placement with one letter for each layer. The plan gives the head, the tail and the codec."""
    axis = next((_axis_of(cut, plan) for cut in manifest.cuts if cut.name == plan.cut), None)
    crossing = Crossing(plan.codec, axis, decode_s=plan.decode_s, rest_s=plan.local_tail_s, rest_in=plan.local_tail)
    return tuple(
        JobStep(stage, plan.head_s, precision=plan.head)
        if stage.side == "D"
        else JobStep(stage, plan.tail_s, crossing, precision=plan.tail)
        for stage in stages(placement)
    )


def finished_as(plan: Candidate, made: Iterable[JobStep]) -> tuple[JobStep, ...]:
    """These steps, of which the device itself would run what it does for the plan, should a companion fail."""
    return tuple(
        step
        if step.crossing is None
        else replace(step, crossing=replace(step.crossing, rest_s=plan.local_tail_s, rest_in=plan.local_tail))
        for step in made
    )


def _axis_of(cut: Cut, plan: Candidate) -> int | None:
    """As `channel_axis`, of the plan's precisions if it was calibrated in these."""
    calibrated = (each for each in cut.codecs if each.codec == plan.codec and each.tail == plan.tail.graph)
    same = (each.channel_axis for each in calibrated if each.head == plan.head or not cut.head_layers)
    return next(same, channel_axis(cut, plan.codec))


def of_placement(placement: Placement, segments: ModelSegments) -> tuple[JobStep, ...]:
    """The steps of a planned placement. Each run on the companion has its own crossing.

    `segments`: those of the companion that runs them, which need not be the one that the placement was planned for.
    Raises `LookupError` if what crosses was not measured there.
    """
    return tuple(_of_placement(placement, segments))


def _of_placement(placement: Placement, segments: ModelSegments) -> Iterator[JobStep]:
    bounds = (*segments.starts, segments.layers)
    runs = {run.first: run for run in placement.runs}
    for run_of in stages(placement.letters):
        first, last = run_of.first, run_of.last
        stage = Stage(run_of.side, bounds[first], bounds[last])
        if stage.side == "D":
            yield JobStep(stage, segments.here.seconds(first, last))
            continue
        up = _measured(runs[first].up.codec, segments.chain.up[first])
        rest_s = segments.here.seconds(first, len(segments.cuts))
        axis = channel_axis(segments.cuts[first], up.codec)
        crossing = Crossing(up.codec, axis, decode_s=up.cloud_s, rest_s=rest_s)
        yield JobStep(stage, segments.there.seconds(first, last), crossing)


def _measured(codec: str, ways: Sequence[CrossingOption]) -> CrossingOption:
    found = next((way for way in ways if way.codec == codec), None)
    if found is None:
        raise LookupError(f"{codec} was not measured")
    return found


def channel_axis(cut: Cut, codec: str) -> int | None:
    """The axis that has one scale for each index, if the codec is calibrated for the cut. None: one scale a tensor."""
    return next((figures.channel_axis for figures in cut.codecs if figures.codec == codec), None)
