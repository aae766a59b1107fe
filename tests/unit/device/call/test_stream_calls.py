"""What is told of each model's streams: sums, the last plan, and no more than a bounded number of them."""

from __future__ import annotations

from typing import Any

import pytest

from collab_sdk.answers import RawOutputs
from collab_sdk.reports import EvidenceReport, StreamReport
from collab_sdk.result import Plan, Predicted, Result, Timings
from collab_sdk.vocabulary import PlanKind
from collabd.device.call.stream_calls import StreamCalls, kind_of_answer

SPLIT = Plan(cut="pool1", codec="q8", placement="DCC", cloud="pc", reason="chosen")
IMAGE = Plan(cut="image", codec="u8", placement="CCC", cloud="pc", reason="chosen")
LOCAL = Plan(cut="output", codec="none", placement="DDD", cloud=None, reason="chosen")
INHERIT = Plan(cut="inherit", codec="below2", placement="", cloud=None, reason="chosen")


def answer(plan: Plan = SPLIT, *, model: str = "net", **changes: Any) -> Result:
    parts: dict[str, Any] = {
        "model": model,
        "digest": "sha256:0",
        "task": "classify",
        "answer": RawOutputs(),
        "plan": plan,
        "predicted": Predicted(latency_ms=40.0),
        "measured": Timings(latency_ms=42.5),
        "energy_mj": 30.0,
        "energy_source": "modelled",
        "cost": 0.25,
        "fidelity": 0.995,
        "bytes_up": 1000,
        "bytes_down": 50,
        "budget_met": True,
        "unmet": (),
        "degraded": False,
        "why": "",
        "ran": plan.placement,
    }
    return Result(**(parts | changes))


def counted() -> EvidenceReport:
    return EvidenceReport(agreed=0.99, here=150.0, packaged=20.5)


class Scene:
    def __init__(self) -> None:
        self.now = -5.0  # a clock may begin anywhere
        self.calls = StreamCalls(lambda: self.now)

    def answered(self, result: Result, stream: str = "") -> None:
        self.calls.answered(stream, result, layers=3, evidence=counted, at=self.now)

    def told(self) -> dict[tuple[str, str], StreamReport]:
        return {(each["model"], each["stream"]): each for each in self.calls.report()}


def test_nothing_is_told_of_no_calls() -> None:
    assert Scene().calls.report() == []


def test_what_calls_take_adds_up_and_the_plan_is_that_of_the_last() -> None:
    scene = Scene()
    scene.answered(answer(LOCAL, bytes_up=0, bytes_down=0, cost=0.0, degraded=True), "gate")
    scene.now += 3
    scene.answered(answer(budget_met=False), "gate")
    scene.now += 1.5
    assert scene.calls.report() == [
        StreamReport(
            model="net",
            stream="gate",
            kind="split",
            cut="pool1",
            head_layers=1,
            layers=3,
            codec="q8",
            precision="fp32",
            placement="DCC",
            cloud="pc",
            predicted_ms=40.0,
            measured_ms=42.5,
            age_s=1.5,
            calls=2,
            kinds={"local": 1, "split": 1},
            failed=0,
            degraded=1,
            missed=1,
            bytes_up=1000,
            bytes_down=50,
            energy_mj=60.0,
            cost=0.25,
            fidelity=0.995,
            fidelity_pictures=170.5,
        )
    ]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (answer(SPLIT), PlanKind.SPLIT),
        (answer(IMAGE), PlanKind.IMAGE),
        (answer(LOCAL), PlanKind.LOCAL),
        (answer(SPLIT, ran="DDD", degraded=True), PlanKind.LOCAL),
        (answer(SPLIT, ran="", answered_by="little"), PlanKind.LITTLE),
        (answer(INHERIT, inherited_age_s=2.0), PlanKind.INHERITED),
    ],
)
def test_the_kind_is_how_it_was_answered_whatever_was_planned(result: Result, kind: PlanKind) -> None:
    assert kind_of_answer(result) is kind


def test_models_and_streams_are_told_apart_the_latest_first() -> None:
    scene = Scene()
    for model, stream in (("net", ""), ("net", "gate"), ("other", "gate"), ("net", "")):
        scene.now += 1
        scene.answered(answer(model=model), stream)
    assert list(scene.told()) == [("net", ""), ("other", "gate"), ("net", "gate")]
    assert [each["calls"] for each in scene.calls.report()] == [2, 1, 1]


def test_a_stream_of_which_every_call_fails_has_no_plan() -> None:
    scene = Scene()
    scene.calls.failed("net", "gate", at=scene.now)
    (told,) = scene.calls.report()
    assert (told["calls"], told["failed"], told["kinds"]) == (1, 1, {})
    assert (told["kind"], told["measured_ms"], told["fidelity"], told["fidelity_pictures"]) == (None, None, None, None)


def test_a_failure_that_was_noted_before_an_earlier_answer_is_still_the_last_call() -> None:
    scene = Scene()
    scene.calls.failed("net", "gate", at=scene.now + 2)
    scene.answered(answer(), "gate")
    scene.now += 2
    assert scene.told()["net", "gate"]["age_s"] == 0


def test_streams_that_were_silent_longest_are_told_together() -> None:
    scene = Scene()
    for number in range(70):
        scene.now += 1
        scene.answered(answer(), f"camera {number}")
        scene.answered(answer(), "gate")
    told = scene.calls.report()
    assert len(told) == 65
    assert {each["stream"] for each in told} >= {"gate", "camera 69"}
    together = told[-1]
    assert (together["model"], together["stream"], together["kind"]) == ("(others)", "(others)", None)
    assert (together["calls"], together["kinds"], together["energy_mj"]) == (7, {"split": 7}, 210.0)
    assert together["age_s"] == 63
    assert sum(each["calls"] for each in told) == 140
