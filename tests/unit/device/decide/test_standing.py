"""A choice stands for calls that are alike, until something that it depends on changes."""

from __future__ import annotations

import asyncio
import time

import pytest

from collab_sdk.vocabulary import Reason
from collabd.config import DeviceConfig
from collabd.device.companions.companion import Companion
from collabd.device.companions.failures import CompanionFailure, FailureReason
from collabd.device.decide.call_plan import CallPlan
from collabd.device.decide.planner import Planner
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.models.model import DeviceModel
from tests.device_parts import planner_of
from tests.unit.device.conftest import PIXELS, link_is


class Hands:
    """A clock that is set by hand, in seconds. It begins with the time at which the link was learned."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def it(companion: Companion, hands: Hands) -> Planner:
    # What was learned of the link does not age.
    companion.clock = Hands()
    return planner_of(DeviceConfig(), [companion], slowdown=200, clock=hands)


def plan(
    it: Planner, model: DeviceModel, image: CallImage = PIXELS, *, waited_s: float = 0.0, **parameters: str
) -> CallPlan:
    return asyncio.run(it.plan(model, image, CallOptions.from_parameters(parameters), waited_s=waited_s))


def file_of(size: int) -> CallImage:
    return CallImage(bytes(size), 32 * 32)


def test_the_next_call_gets_the_same_plan_without_another_look(it: Planner, model: DeviceModel) -> None:
    assert plan(it, model) is plan(it, model)


def test_while_nothing_changes_a_choice_stands_for_some_seconds(it: Planner, model: DeviceModel, hands: Hands) -> None:
    first = plan(it, model)
    for _ in range(4):
        hands.now += 0.6
        assert plan(it, model) is first
    hands.now += 0.7
    assert plan(it, model).evaluation is not first.evaluation


@pytest.mark.parametrize(("mbps", "stands"), [(100.0, True), (70.0, False)])
def test_a_link_that_changed_is_looked_at_after_half_a_second(
    it: Planner, model: DeviceModel, companion: Companion, hands: Hands, mbps: float, stands: bool
) -> None:
    link_is(companion, 100.0)
    first = plan(it, model)
    # Without the word of the companion that something has happened.
    events = companion.events
    link_is(companion, mbps)
    companion.events = events
    assert plan(it, model) is first
    hands.now += 0.6
    assert (plan(it, model).evaluation is first.evaluation) == stands


def test_calls_with_other_parameters_have_choices_of_their_own(it: Planner, model: DeviceModel) -> None:
    first, q8 = plan(it, model), plan(it, model, codec="q8")
    assert (first.job.codec, q8.job.codec) != (q8.job.codec, first.job.codec)
    assert plan(it, model) is first
    assert plan(it, model, codec="q8") is q8


@pytest.mark.parametrize(("size", "stands"), [(1000, True), (1020, True), (1100, False), (10, False)])
def test_a_file_of_another_size_is_another_call(it: Planner, model: DeviceModel, size: int, stands: bool) -> None:
    first = plan(it, model, file_of(1000))
    assert (plan(it, model, file_of(size)) is first) == stands


@pytest.mark.parametrize(("waited_s", "stands"), [(0.001, True), (0.050, False)])
def test_a_call_that_has_waited_has_less_time_left(
    it: Planner, model: DeviceModel, waited_s: float, stands: bool
) -> None:
    first = plan(it, model, budget="80ms")
    again = plan(it, model, budget="80ms", waited_s=waited_s)
    assert (again.evaluation is first.evaluation) == stands


def test_calls_that_never_leave_do_not_mind_the_link(
    it: Planner, model: DeviceModel, companion: Companion, hands: Hands
) -> None:
    first = plan(it, model, fallback="never-leave")
    events = companion.events
    link_is(companion, 1.0)
    companion.events = events
    hands.now += 0.6
    assert plan(it, model, fallback="never-leave") is first


def test_a_companion_that_fails_ends_it_at_once(it: Planner, model: DeviceModel, companion: Companion) -> None:
    assert plan(it, model).job.companion is companion
    companion.note_failure(CompanionFailure(FailureReason.BUSY, "busy"))
    assert plan(it, model).job.companion is None


def test_a_profile_that_goes_ends_it_at_once(it: Planner, model: DeviceModel, companion: Companion) -> None:
    assert plan(it, model).job.companion is companion
    companion.profiles.clear()
    assert plan(it, model).job.companion is None


def test_a_surprise_ends_it_at_once(it: Planner, model: DeviceModel, companion: Companion) -> None:
    assert plan(it, model).job.companion is companion
    link_is(companion, 0.005)
    it.reconsider()
    assert plan(it, model).job.companion is None


def test_a_call_that_waits_for_others_is_looked_at_by_itself(model: DeviceModel, companion: Companion) -> None:
    waits_s = [0.0, 1.0, 1.0, 0.0]
    it = planner_of(DeviceConfig(), [companion], lane_wait_s=lambda _: waits_s.pop(0))
    plans = [plan(it, model) for _ in range(4)]
    assert len({id(each.evaluation) for each in plans}) == 4


def test_credit_for_a_try_is_saved_up_while_a_choice_stands(
    it: Planner, model: DeviceModel, companion: Companion, hands: Hands
) -> None:
    """A slow link keeps the calls here. They try the companion in the end, although each finds a choice that stands."""
    link_is(companion, 0.02)
    hands.now, companion.clock = time.monotonic(), hands

    async def reasons() -> set[Reason]:
        found = set()
        for _ in range(3000):
            found.add((await it.plan(model, PIXELS, CallOptions.from_parameters({}))).reason)
            hands.now += 0.01
        return found

    found = asyncio.run(reasons())
    assert found <= {Reason.CHOSEN, Reason.KEPT, Reason.EXPLORED}
    assert Reason.EXPLORED in found
