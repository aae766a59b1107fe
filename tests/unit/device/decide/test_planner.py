"""From a call to a job: fixed placements, codecs, the gain of a switch, and what is predicted of the image itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from collab_sdk.errors import InvalidPlacement
from collab_sdk.vocabulary import Reason
from collabd.catalog.package.package import Package
from collabd.config import DeviceConfig
from collabd.device.companions.companion import Companion
from collabd.device.decide.segments import segments
from collabd.device.fidelity.ledger import Ledger
from collabd.device.fidelity.question import RowQuestion
from collabd.device.fidelity.row import Row
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from collabd.profiling.profile import Profile
from tests.device_parts import planner_of
from tests.unit.device.conftest import FILE, PIXELS, companion_of, link_is, plan, planner


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


def learned(ledger: Ledger, model: DeviceModel, row: Row, share: float, pictures: int) -> None:
    for picture in range(pictures):
        ledger.take_in(model.digest, model.manifest, {row: share}, decided=picture % 3, caps={0.99})


def test_what_was_learned_here_decides_which_lossy_plans_may_serve(model: DeviceModel, companion: Companion) -> None:
    ledger, options = Ledger(None), CallOptions.from_parameters({"codec": "q4"})
    it = planner_of(DeviceConfig(), [companion], ledger=ledger)
    before = asyncio.run(it.plan(model, PIXELS, options))
    assert (before.job.codec, before.unmet) == ("q4", ("fidelity",))
    row = Row(before.cut, "q4")
    assert next(it.recent.questions(model)) == RowQuestion(row, 0.99)
    learned(ledger, model, row, 1.0, 400)
    earned = asyncio.run(it.plan(model, PIXELS, options))
    assert (earned.cut, earned.job.codec, earned.unmet) == (row.cut, "q4", ())
    # In another scene it is dropped with the next call, although its choice would still stand.
    learned(ledger, model, row, 0.0, 30)
    dropped = asyncio.run(it.plan(model, PIXELS, options))
    assert dropped.unmet == ("fidelity",)


def test_placements_of_several_crossings_go_by_what_was_learned_too(model: DeviceModel, profile: Profile) -> None:
    ledger, row = Ledger(None), Row("pool1", "q8")
    learned(ledger, model, row, 1.0, 800)
    believed = ledger.of(model.digest, model.manifest)
    chained = segments(model, profile, profile, cloud=0, fidelity_of=believed.of)
    place = [cut.name for cut in chained.cuts].index("pool1")
    assert {way.codec: way.fidelity for way in chained.chain.up[place]}["q8"] == believed.promised(row)


def test_what_calls_ask_for_is_remembered_while_choices_come_and_go(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion)
    assert it.least_fidelities(model) == {0.99}
    plan(it, model, budget="95%")
    it.reconsider()
    assert it.least_fidelities(model) == {0.99, 0.95}
    plan(it, model, cut="pool1", codec="q8", budget="90%")
    assert it.least_fidelities(model) == {0.99, 0.95}


def test_other_companions_that_can_run_the_same_steps_stand_by(
    tiny_package: Package, model: DeviceModel, profile: Profile
) -> None:
    # So much slower that no call is sent there to try it.
    cuts = tuple(msgspec.structs.replace(cut, tail_ms=cut.tail_ms + 100) for cut in profile.cuts)
    slower = msgspec.structs.replace(profile, cuts=cuts, whole_ms=profile.whole_ms + 100)
    near, other, without = (companion_of(tiny_package, each) for each in (profile, slower, profile))
    without.profiles.clear()
    it = planner(near, other, without, slowdown=200)
    placement = "C" + "D" * (len(model.manifest.layers) - 2) + "C"
    ways: tuple[dict[str, Any], ...] = ({}, {"cut": "pool1"}, {"placement": placement})
    for fixed in ways:
        job = plan(it, model, **fixed).job
        assert job.companion is near
        (standby,) = job.standbys
        assert standby.companion is other
        assert [step.stage for step in standby.steps] == [step.stage for step in job.steps]
        assert [step.precision for step in standby.steps] == [step.precision for step in job.steps]
    # In the time of the companion that would run them.
    job = plan(it, model, cut="pool1").job
    assert job.standbys[0].steps[-1].run_s == pytest.approx(job.steps[-1].run_s + 0.1)
    assert plan(it, model, cut="output").job.standbys == ()


def test_caps_that_the_plan_keeps_hold_for_who_takes_over(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    assert plan(it, model, budget="1000mJ, cost 1").job.caps.energy_j == pytest.approx(1.0)
    hopeless = plan(it, model, budget="0.001mJ, cost 1")
    assert hopeless.unmet
    assert (hopeless.job.caps.energy_j, hopeless.job.caps.cost) == (None, 1.0)
