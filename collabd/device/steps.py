"""From a chosen plan to the steps of a job."""

from __future__ import annotations

from collections.abc import Iterator

from collabd.catalog.manifest import Cut, Manifest
from collabd.device.chains import Segments
from collabd.device.job import Crossing, Step
from collabd.device.placement import Stage, stages
from collabd.planning import Candidate
from collabd.planning.route import Placement


def of_plan(plan: Candidate, placement: str, manifest: Manifest) -> tuple[Step, ...]:
    """Those of a placement, one letter a layer, whose head, tail and codec are the plan's."""
    axis = next((channel_axis(cut, plan.codec) for cut in manifest.cuts if cut.name == plan.cut), None)
    crossing = Crossing(plan.codec, axis, plan.decode_s, plan.local_tail_s)
    return tuple(
        Step(stage, plan.head_s) if stage.side == "D" else Step(stage, plan.tail_s, crossing)
        for stage in stages(placement)
    )


def of_placement(placement: Placement, segments: Segments) -> tuple[Step, ...]:
    """Those of a planned placement, each companion's run by a crossing of its own."""
    return tuple(_of_placement(placement, segments))


def _of_placement(placement: Placement, segments: Segments) -> Iterator[Step]:
    bounds = (*segments.starts, segments.layers)
    runs = {run.first: run for run in placement.runs}
    for run_of in stages(placement.letters):
        first, last = run_of.first, run_of.last
        stage = Stage(run_of.side, bounds[first], bounds[last])
        if stage.side == "D":
            yield Step(stage, segments.here.seconds(first, last))
            continue
        up = runs[first].up
        rest_s = segments.here.seconds(first, len(segments.cuts))
        crossing = Crossing(up.codec, channel_axis(segments.cuts[first], up.codec), up.cloud_s, rest_s)
        yield Step(stage, segments.there.seconds(first, last), crossing)


def channel_axis(cut: Cut, codec: str) -> int | None:
    """The axis that has a scale an index where the codec is calibrated for the cut; None: one scale a tensor."""
    return next((figures.channel_axis for figures in cut.codecs if figures.codec == codec), None)
