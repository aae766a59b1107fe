"""What a picture that was looked at changes for its plan."""

from __future__ import annotations

import asyncio

import pytest

from collab_sdk.vocabulary import INHERIT, Reason
from collabd.codec import LOSSLESS
from collabd.device.companions.companion import Companion
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.planner import Planner
from collabd.device.decide.seen import SeenPicture
from collabd.device.job.options import CallOptions
from collabd.device.job.placement import NO_CODEC
from collabd.device.models.model import DeviceModel
from collabd.planning import Candidate
from collabd.planning.candidates import SOURCE
from tests.unit.device.conftest import FILE, PIXELS, planner

OFFER = Candidate(cut=INHERIT, codec="below2", cloud=None, local_tail_s=0.0, fidelity=0.99)
WORTH_IT = SeenPicture(took_s=0.002, offer=OFFER, suffices=True)
EXACT = LOSSLESS | {NO_CODEC}
NOTHING = SeenPicture(took_s=0.002, offer=None, suffices=False)


def plan(
    it: Planner, model: DeviceModel, seen: SeenPicture | None, budget: str = "", waited_s: float = 0.0
) -> CallPlan:
    options = CallOptions.from_parameters({"budget": budget} if budget else {})
    return asyncio.run(it.plan(model, PIXELS, options, waited_s=waited_s, seen=seen))


def test_what_is_faithful_enough_is_inherited(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    planned = plan(it, model, WORTH_IT, waited_s=0.003)
    assert (planned.cut, planned.job.codec, planned.placement, planned.job.steps) == (INHERIT, "below2", "", ())
    assert planned.job.companion is None
    assert planned.reason is Reason.CHOSEN
    # What the look took is part of what is told.
    assert planned.predicted.latency_ms is not None
    assert planned.predicted.latency_ms > 3
    assert planned.predicted.prep_ms == pytest.approx(2)
    assert planned.predicted.energy_mj is not None
    assert planned.predicted.energy_mj > planned.evaluation.device.busy_w * 2
    assert plan(it, model, WORTH_IT, "99.5%").cut != INHERIT
    assert plan(it, model, NOTHING).cut != INHERIT
    assert plan(it, model, None).cut != INHERIT


def test_choices_stand_for_calls_that_have_the_same_to_choose_from(model: DeviceModel) -> None:
    it, options = planner(), CallOptions.from_parameters({})

    async def cuts(*seen: SeenPicture | None) -> list[str]:
        return [(await it.plan(model, PIXELS, options, seen=each)).cut for each in seen]

    other = SeenPicture(took_s=0.002, offer=OFFER, suffices=False)
    assert asyncio.run(cuts(WORTH_IT, NOTHING, None, WORTH_IT, NOTHING)) == [
        INHERIT,
        "output",
        "output",
        INHERIT,
        "output",
    ]
    assert WORTH_IT.kind != other.kind


def test_a_prepared_picture_need_not_be_prepared(model: DeviceModel) -> None:
    looked, not_looked = (plan(planner(), model, seen) for seen in (NOTHING, None))
    assert looked.job.prep_s == 0
    assert not_looked.job.prep_s > 0
    assert looked.job.here_s < not_looked.job.here_s


def test_energy_that_the_look_took_is_gone(model: DeviceModel) -> None:
    long_look = SeenPicture(took_s=0.1, offer=OFFER, suffices=True)
    assert plan(planner(), model, WORTH_IT, "100mJ").unmet == ()
    assert plan(planner(), model, long_look, "100mJ").unmet == ("energy",)


def test_an_answer_to_be_inherited_is_exact_if_the_caps_permit(model: DeviceModel, companion: Companion) -> None:
    it = planner(companion, slowdown=200)
    wanted = SeenPicture(took_s=0.0, offer=None, suffices=False, exact=True)
    usual, exact = (plan(it, model, seen, "50%") for seen in (NOTHING, wanted))
    assert (usual.evaluation.caps.fidelity, exact.evaluation.caps.fidelity) == (0.5, 1.0)
    assert exact.job.codec in EXACT
    # The call itself did not ask for it.
    assert exact.caps.fidelity == 0.5
    # Nothing keeps this cap, exactly or not.
    assert plan(it, model, wanted, "50%,0.001mJ").evaluation.caps.fidelity == 0.5


def test_the_file_may_still_be_sent_as_it_came(model: DeviceModel, companion: Companion) -> None:
    it, options = planner(companion, slowdown=500), CallOptions.from_parameters({"budget": "100%"})
    assert asyncio.run(it.plan(model, FILE, options, seen=NOTHING)).job.codec == SOURCE
