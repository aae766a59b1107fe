"""What the journal hears of a run of calls: changes, each once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collab_sdk.answers import Classification
from collab_sdk.budget import Budget
from collab_sdk.result import Plan, Predicted, Result, Timings
from collabd.device import journal
from collabd.device.journal import Journal, companion_changed
from collabd.sensing.machine.throttling import Flags, Throttling
from collabd.sensing.reading import NotMeasured, Reading

LOCAL = Plan(cut="output", codec="none", placement="DDD", cloud=None, reason="chosen")
REMOTE = Plan(cut="pool1", codec="q8", placement="DCC", cloud="pc", reason="chosen")


def answer(plan: Plan = LOCAL, *, budget: str = "", model: str = "net", unmet: tuple[str, ...] = ()) -> Result:
    return Result(
        model=model,
        digest="sha256:0",
        task="classify",
        answer=Classification(np.ones(1, np.float32), ("all",)),
        plan=plan,
        predicted=Predicted(),
        measured=Timings(latency_ms=12.25),
        energy_mj=1.0,
        energy_source="modelled",
        cost=0.0,
        fidelity=1.0,
        bytes_up=0,
        bytes_down=0,
        budget_met=not unmet,
        unmet=unmet,
        degraded=False,
        why="",
        ran=plan.placement,
        budget=Budget.parse(budget),
    )


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The events since the last look."""
    found = [vars(record)["journal_fields"] for record in caplog.records]
    caplog.clear()
    return found


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_switch_is_told_once(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    for plan in (LOCAL, LOCAL, REMOTE, REMOTE, REMOTE):
        it.answered(answer(plan, budget="80ms"))
    assert heard.messages == ["net (80ms): the plan changes from all on the device to pool1 as q8 to pc"]
    (event,) = fields(heard)
    assert event["MESSAGE_ID"] == journal.PLAN_SWITCHED
    assert event["COLLABD_PLAN_BEFORE"] == "all on the device"
    assert (event["COLLABD_MODEL"], event["COLLABD_BUDGET"]) == ("net", "80ms")
    assert (event["COLLABD_CUT"], event["COLLABD_CODEC"], event["COLLABD_COMPANION"]) == ("pool1", "q8", "pc")


def test_a_switch_of_precision_is_told(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    for plan in (LOCAL, replace(LOCAL, precision="int8"), LOCAL):
        it.answered(answer(plan))
    assert heard.messages == ["net: the plan changes from all on the device to all on the device in int8"]
    assert fields(heard)[0]["COLLABD_PRECISION"] == "int8"


def test_calls_of_different_kinds_are_no_switch(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    for _ in range(3):
        it.answered(answer(LOCAL, budget="80ms"))
        it.answered(answer(REMOTE, budget="20ms"))
        it.answered(answer(REMOTE, model="other", budget="80ms"))
    assert fields(heard) == []


@pytest.mark.parametrize("reason", ["fixed", "explored"])
def test_a_plan_that_was_not_the_best_is_no_switch(heard: pytest.LogCaptureFixture, reason: str) -> None:
    it = Journal()
    for plan in (LOCAL, replace(REMOTE, reason=reason), LOCAL):
        it.answered(answer(plan, budget=""))
    assert fields(heard) == []


def test_kinds_are_forgotten_in_the_end(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    for number in range(1_000):
        it.answered(answer(model=f"net{number}", budget="1ms"))
    assert len(it._kinds) <= 64
    it.answered(answer(REMOTE, model="net0", budget="1ms"))
    assert fields(heard) == []


def test_budgets_that_differ_at_each_call_are_of_one_kind(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    for tenths in range(170, 300):
        it.answered(answer(LOCAL, unmet=("latency",), budget=f"{tenths / 10}ms"))
        it.answered(answer(LOCAL, budget=f"cost {tenths / 1000},{tenths}mJ"))
    for tenths in range(170, 300):
        it.answered(answer(REMOTE, unmet=("latency",), budget=f"{tenths / 10}ms"))
    told = [event["MESSAGE_ID"] for event in fields(heard)]
    assert told == [journal.DEADLINE_MISSED, journal.PLAN_SWITCHED]


def test_plans_that_take_turns_are_told_now_and_then(heard: pytest.LogCaptureFixture) -> None:
    now = 100.0
    it = Journal(lambda: now)
    for _ in range(60):
        for plan in (LOCAL, REMOTE):
            now += 0.5
            it.answered(answer(plan, budget="80ms"))
    # A minute, of which each switch is told ten seconds after the one before.
    assert 4 <= len(fields(heard)) <= 6


def test_what_lasts_is_told_in_the_end(heard: pytest.LogCaptureFixture) -> None:
    now = 100.0
    it = Journal(lambda: now)
    for plan in (LOCAL, REMOTE, LOCAL):
        it.answered(answer(plan, budget="80ms"))
    fields(heard)
    now += 10.0
    it.answered(answer(LOCAL, budget="80ms"))
    assert [event["COLLABD_CUT"] for event in fields(heard)] == ["output"]


def test_a_missed_deadline_is_told_once_in_a_while(heard: pytest.LogCaptureFixture) -> None:
    it, late = Journal(), answer(unmet=("latency", "energy"), budget="1ms")
    for _ in range(50):
        it.answered(late)
    assert heard.messages == ["net (1ms) took 12.2 ms with all on the device and missed its deadline"]
    (event,) = fields(heard)
    assert (event["MESSAGE_ID"], event["COLLABD_LATENCY_MS"]) == (journal.DEADLINE_MISSED, "12.250")
    for kept in (1, 5, 19):
        for _ in range(kept):
            it.answered(answer(budget="1ms"))
        it.answered(late)
    assert fields(heard) == []
    for _ in range(20):
        it.answered(answer(budget="1ms"))
    it.answered(late)
    assert len(fields(heard)) == 1


def test_other_caps_are_no_deadline(heard: pytest.LogCaptureFixture) -> None:
    Journal().answered(answer(unmet=("energy", "cost", "fidelity"), budget="1mJ"))
    assert fields(heard) == []


def reading(**now: bool) -> Reading[Throttling]:
    return Reading(Throttling(Flags(**now), Flags(), "boot"), 0.0, 0.0)


def test_throttling_is_told_when_it_changes(heard: pytest.LogCaptureFixture) -> None:
    it = Journal()
    hot, starved = reading(throttled=True, under_voltage=False), reading(throttled=True, under_voltage=True)
    for seen in (NotMeasured("no Pi"), reading(throttled=False), hot, hot, starved, starved, reading(), reading(), hot):
        it.sensed(seen)
    told = [(event["MESSAGE_ID"], event.get("COLLABD_FLAGS")) for event in fields(heard)]
    assert told == [
        (journal.THROTTLED, "throttled"),
        (journal.THROTTLED, "under voltage, throttled"),
        (journal.THROTTLING_ENDED, None),
        (journal.THROTTLED, "throttled"),
    ]


@pytest.mark.parametrize(
    ("up", "event", "level"),
    [(True, journal.COMPANION_REGAINED, logging.INFO), (False, journal.COMPANION_LOST, logging.WARNING)],
)
def test_a_companion_comes_and_goes(heard: pytest.LogCaptureFixture, up: bool, event: str, level: int) -> None:
    companion_changed("pc", up=up)
    assert [record.levelno for record in heard.records] == [level]
    assert fields(heard) == [{"MESSAGE_ID": event, "COLLABD_COMPANION": "pc"}]


def test_a_row_that_calls_may_use_or_no_longer_is_told_each_way_once_in_ten_minutes(
    heard: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    it = Journal(lambda: now)
    for allowed, promise in ((True, 0.9903), (False, 0.98), (True, 0.9902), (False, 0.9869)):
        it.fidelity_changed("net", "jpeg90 at image", least=0.99, now=promise, allowed=allowed)
    it.fidelity_changed("net", "q8 at pool1", least=0.99, now=0.9901, allowed=True)
    assert [record.levelno for record in heard.records] == [logging.INFO, logging.WARNING, logging.INFO]
    may, no_longer, _ = (record.getMessage().removeprefix("net: ") for record in heard.records)
    said = "calls that ask for a fidelity of 99 %: this device's pictures promise"
    assert (may, no_longer) == (
        f"jpeg90 at image may serve {said} 99.03 %",
        f"jpeg90 at image no longer serves {said} 98 %",
    )
    assert fields(heard)[0] == {
        "MESSAGE_ID": journal.FIDELITY_CHANGED,
        "COLLABD_MODEL": "net",
        "COLLABD_ROW": "jpeg90 at image",
        "COLLABD_LEAST": "99 %",
        "COLLABD_FIDELITY": "99.03 %",
        "COLLABD_VERDICT": "may serve",
    }
    now = 600.0
    it.fidelity_changed("net", "jpeg90 at image", least=0.99, now=0.987, allowed=False)
    assert len(fields(heard)) == 1


def test_who_stands_in_for_whom_is_said_once_in_a_while(heard: pytest.LogCaptureFixture) -> None:
    now = 0.0
    told = Journal(lambda: now)
    by_pc = replace(answer(REMOTE), ran_on="pc")
    by_other = replace(
        answer(REMOTE), ran_on="spare", degraded=True, why="pc failed (gone); spare answered in its place"
    )
    for result in (by_pc, by_other, by_other):
        told.answered(result)
    (event,) = fields(heard)
    assert event["MESSAGE_ID"] == journal.TAKEN_OVER
    assert (event["COLLABD_COMPANION"], event["COLLABD_RAN_ON"]) == ("pc", "spare")
    assert event["COLLABD_WHY"] == by_other.why
    now = 11.0
    told.answered(by_other)
    assert len(fields(heard)) == 1
