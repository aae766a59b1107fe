"""Makes the steps of a job from a chosen plan."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.catalog.package.manifest import Cut, Manifest
from collabd.device.decide.segments import ModelSegments
from collabd.device.job.job import Crossing, JobStep
from collabd.device.job.placement import Stage, stages
from collabd.planning import Candidate
from collabd.planning.placements.placement import Placement


def of_plan(plan: Candidate, placement: str, manifest: Manifest) -> tuple[JobStep, ...]:
    """The steps of a placement with one letter for each layer. The plan gives the head, the tail and the codec."""
    axis = next((channel_axis(cut, plan.codec) for cut in manifest.cuts if cut.name == plan.cut), None)
    crossing = Crossing(plan.codec, axis, decode_s=plan.decode_s, rest_s=plan.local_tail_s)
    return tuple(
        JobStep(stage, plan.head_s) if stage.side == "D" else JobStep(stage, plan.tail_s, crossing)
        for stage in stages(placement)
    )


def of_placement(placement: Placement, segments: ModelSegments) -> tuple[JobStep, ...]:
    """The steps of a planned placement. Each run on the companion has its own crossing."""
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
        up = runs[first].up
        rest_s = segments.here.seconds(first, len(segments.cuts))
        axis = channel_axis(segments.cuts[first], up.codec)
        crossing = Crossing(up.codec, axis, decode_s=up.cloud_s, rest_s=rest_s)
        yield JobStep(stage, segments.there.seconds(first, last), crossing)


def channel_axis(cut: Cut, codec: str) -> int | None:
    """The axis that has one scale for each index, if the codec is calibrated for the cut. None: one scale a tensor."""
    return next((figures.channel_axis for figures in cut.codecs if figures.codec == codec), None)
