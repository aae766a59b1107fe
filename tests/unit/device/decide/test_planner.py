"""From a call to a job: fixed placements, codecs, the gain of a switch, and what is predicted of the image itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np
import pytest

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Reason
from collabd.device.companions.companion import Companion
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from tests.unit.device.conftest import FILE, PIXELS, link_is, plan, planner


def test_alone_all_runs_here(model: DeviceModel) -> None:
    planned = plan(planner(), model)
    assert (planned.cut, planned.job.codec, planned.job.companion) == ("output", "none", None)
    assert set(planned.placement) == {"D"}


def test_a_fast_device_keeps_its_work_and_a_slow_one_sends_it(model: DeviceModel, companion: Companion) -> None:
    assert plan(planner(companion), model).cut == "output"
    slow = plan(planner(companion, slowdown=200), model)
    assert slow.job.companion is companion
    assert slow.placement.endswith("C")


def test_the_file_is_sent_as_it_came_only_if_there_is_one(model: DeviceModel, companion: Companion) -> None:
    slow = planner(companion, slowdown=500)
    assert plan(slow, model, FILE, budget="100%").job.codec == "source"
    assert plan(slow, model, PIXELS, budget="100%").job.codec != "source"


def test_fixed_cuts_default_to_lossless(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion)
    for cut, codec in (("image", "u8"), ("pool1", "f32"), ("output", "none")):
        planned = plan(it, model, cut=cut)
        assert (planned.cut, planned.job.codec, planned.reason) == (cut, codec, Reason.FIXED)


def test_what_a_call_fixes_is_made_ready_once_and_compared_with_nothing(
    model: DeviceModel, companion: Companion
) -> None:
    it = planner(companion)
    first, again, other = (plan(it, model, cut="pool1", codec=codec) for codec in ("f32", "f32", "q8"))
    assert first.job.steps is again.job.steps
    assert first.job.steps != other.job.steps
    assert [row.codec for row in other.evaluation.plans.rows] == ["q8"]
    companion.profiles.clear()
    alone = plan(it, model, cut="pool1", codec="f32")
    assert (alone.job.companion, alone.row) == (None, None)


async def test_what_was_evaluated_is_run_although_the_profile_goes_during_the_search(
    model: DeviceModel, companion: Companion
) -> None:
    it = planner(companion, slowdown=200)
    # No plan is as fast, so that it looks for one with several crossings.
    planning = asyncio.create_task(it.plan(model, PIXELS, CallOptions.from_parameters({"budget": "0.1ms"})))
    await asyncio.sleep(0)
    assert not planning.done()
    companion.profiles.clear()
    planned = await planning
    assert planned.row is not None
    chosen = planned.evaluation.plans.rows[planned.row]
    assert chosen.cloud == 0
    assert [step.run_s for step in planned.job.steps if step.crossing is not None] == [chosen.tail_s]


def test_a_candidate_cut_brings_its_calibrated_axis(model: DeviceModel, companion: Companion) -> None:
    for cut in model.manifest.cuts[1:]:
        for figures in cut.codecs:
            planned = plan(planner(companion), model, cut=cut.name, codec=figures.codec)
            (crossing,) = (step.crossing for step in planned.job.steps if step.crossing is not None)
            assert crossing.channel_axis == figures.channel_axis
            assert planned.row is not None


def test_a_placement_with_two_crossings_is_no_candidate(model: DeviceModel, companion: Companion) -> None:
    layers = len(model.manifest.layers)
    placement = "DC" + "D" * (layers - 2)
    planned = plan(planner(companion), model, placement=placement)
    assert (planned.cut, planned.row) == (placement, None)
    assert [step.stage.side for step in planned.job.steps] == ["D", "C", "D"]


def test_a_placement_with_one_crossing_is_the_cut(model: DeviceModel, companion: Companion) -> None:
    layers = model.manifest.layers
    planned = plan(planner(companion), model, placement="D" + "C" * (len(layers) - 1))
    assert planned.cut == layers[0].name


@pytest.mark.parametrize("codec", ["jpeg", "u8", "source"])
def test_codecs_of_the_image_do_not_fit_features(model: DeviceModel, companion: Companion, codec: str) -> None:
    with pytest.raises(InvalidPlacement, match="is for the image"):
        plan(planner(companion), model, cut="pool1", codec=codec)


def test_a_codec_alone_restricts_the_choice(model: DeviceModel, companion: Companion) -> None:
    assert plan(planner(companion), model, codec="q8").job.codec == "q8"
    assert plan(planner(), model, codec="q8").cut == "output"  # no companion: nothing is sent at all


def test_never_leave(model: DeviceModel, companion: Companion) -> None:
    assert plan(planner(companion, slowdown=500), model, fallback="never-leave").cut == "output"


def test_the_plan_sticks_until_a_switch_is_worth_it(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    first = plan(it, model)
    link_is(companion, 98)
    it.reconsider()
    assert (plan(it, model).cut, plan(it, model).job.codec) == (first.cut, first.job.codec)


def test_a_link_that_breaks_down_brings_the_work_home(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    assert plan(it, model).job.companion is companion
    link_is(companion, 0.005)
    # The first call that takes longer than predicted brings this about.
    it.reconsider()
    assert plan(it, model).cut == "output"


def test_a_larger_picture_takes_longer_to_prepare(model: DeviceModel) -> None:
    model.prep.learn(0.000256, 0.001, time.monotonic())
    model.prep.learn(12.0, 0.2, time.monotonic())
    it = planner()
    small = it.evaluate(model, PIXELS, CallOptions.from_parameters({}))
    large = it.evaluate(model, CallImage(b"x", 12_000_000), CallOptions.from_parameters({}))
    assert large.prediction.phases.prep_s[0] > 10 * small.prediction.phases.prep_s[0]


def test_the_deadline_allows_for_a_slow_local_tail(model: DeviceModel, companion: Companion) -> None:
    planned = plan(planner(companion, slowdown=100), model, budget="5000ms", cut="pool1")
    assert planned.job.deadline_s == pytest.approx(5.0, abs=0.01)
    assert planned.row is not None
    tail_s = planned.evaluation.plans.rows[planned.row].local_tail_s
    (crossing,) = (step.crossing for step in planned.job.steps if step.crossing is not None)
    assert crossing.rest_s * planned.job.slow > 100 * tail_s


def test_a_call_that_has_waited_is_planned_for_what_is_left_of_its_budget(model: DeviceModel) -> None:
    it, options = planner(), CallOptions.from_parameters({"budget": "5000ms"})
    at_once = asyncio.run(it.plan(model, PIXELS, options))
    late = asyncio.run(it.plan(model, PIXELS, options, waited_s=4.9999))
    assert (at_once.unmet, late.unmet) == ((), ("latency",))
    assert late.caps == at_once.caps == options.caps(late.caps.fidelity)
    # On the clock that started when the call came.
    assert late.job.deadline_s == pytest.approx(at_once.job.deadline_s, abs=0.01)


def test_a_look_neither_sees_nor_leaves_a_last_plan(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    evaluation = it.evaluate(model, PIXELS, CallOptions.from_parameters({"fallback": "fail"}))
    best = it.decide(evaluation).row
    latency_s = evaluation.prediction.latency_s.copy()
    fits = evaluation.prediction.possible & (evaluation.plans.fidelity >= evaluation.caps.fidelity)
    other = next(int(row) for row in np.flatnonzero(fits) if row != best)
    latency_s[other] = latency_s[best] * 0.999  # better, but for a call no reason to switch
    closer = replace(evaluation, prediction=replace(evaluation.prediction, latency_s=latency_s))
    assert it.decide(closer).row == other
    assert it.decide(evaluation).row == best


def test_only_a_call_makes_a_companion_wanted(model: DeviceModel, companion: Companion) -> None:
    """A look at what calls would get, as `collabctl profile` takes, keeps no link probed."""
    it, before = planner(companion), companion.attention.paid_at
    it.decide(it.evaluate(model, None, CallOptions.from_parameters({})))
    assert companion.attention.paid_at == before
    plan(it, model)
    assert companion.attention.paid_at > before
