"""The verdict of `make chaos`: what counts as wrong, as lost, and as a deadline that could have been kept."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from collab_sdk.vocabulary import Fallback
from collabd.catalog.package.package import Package
from tests.chaos.clients import Answer, Outcome
from tests.chaos.faults import Window
from tests.chaos.judge import judge, too_late
from tests.chaos.orders import NO_DEADLINE, SHARES, Order
from tests.chaos.reference import Reference
from tests.chaos.run import Happened, Settings

ORDER = Order("tiny", "0", "file", 0.0)
LATE = replace(ORDER, deadline="1.5 x p99", deadline_ms=100.0)


@pytest.fixture
def happened(tiny_package: Package, tiny_images: list[np.ndarray]) -> Happened:
    file = io.BytesIO()
    Image.fromarray(tiny_images[0]).save(file, "PNG")
    happened = Happened(Settings(models=("tiny",)), {"tiny": tiny_package}, {"0": file.getvalue()})
    happened.alone = [Outcome(ORDER, 0.0, 0.01, None)]
    happened.deadlines_ms = {("tiny", kind): 100.0 for kind in SHARES if kind != NO_DEADLINE}
    happened.handles = {"device": (20, 20)}
    return happened


@pytest.fixture
def right(happened: Happened) -> Answer:
    layers = len(happened.packages["tiny"].manifest.layers)
    unsure = Answer(
        np.zeros(3, np.float32),
        cut="output",
        codec="none",
        precision="fp32",
        placement="D" * layers,
        ran="D" * layers,
        degraded=False,
        why="",
        budget_met=True,
    )
    scores = Reference(happened.packages, happened.images)._scores(ORDER, unsure.ran, ())
    return replace(unsure, scores=scores)


def test_an_answer_that_is_off_is_wrong(happened: Happened, right: Answer) -> None:
    off = replace(right, scores=right.scores + np.float32(0.01))
    happened.outcomes = [Outcome(ORDER, 1.0, 1.1, right), Outcome(ORDER, 1.0, 1.1, off)]
    report = judge(happened)
    assert (report["calls"]["answered"], report["calls"]["wrong"]) == (2, 1)
    assert any(failure.startswith("wrong: off by 0.01") for failure in report["failures"])


def test_an_error_is_a_lost_call_unless_the_call_permits_it(happened: Happened, right: Answer) -> None:
    error = "CompanionUnavailable: no"
    failing = replace(ORDER, fallback=Fallback.FAIL)
    happened.outcomes = [
        Outcome(ORDER, 1.0, 1.1, right),
        Outcome(ORDER, 1.0, 1.1, None, error),
        Outcome(failing, 1.0, 1.1, None, error),
        Outcome(failing, 1.0, 1.1, None, "DaemonFault: no"),
    ]
    report = judge(happened)
    assert (report["calls"]["asked"], report["calls"]["lost"]) == (2, 1)
    assert report["calls_with_fallback_fail"]["permitted errors"] == 1
    assert sum(failure.startswith("lost: ") for failure in report["failures"]) == 2


def test_a_deadline_counts_but_while_collabd_was_down_or_worked_off_what_had_waited(
    happened: Happened, right: Answer
) -> None:
    happened.down = [Window("collabd down", 10.0, 11.0)]
    happened.outcomes = [
        Outcome(LATE, 1.0, 1.05, right),
        Outcome(LATE, 10.5, 11.5, right),  # waited for it
        Outcome(LATE, 11.4, 11.7, right),  # waited behind that one
        Outcome(LATE, 11.6, 11.9, right),  # late all by itself
    ]
    report = judge(happened)
    assert report["keepable"] == {"counted": 2, "kept": 1, "share": 0.5}
    assert too_late(report) == ["deadlines that the device alone could keep: 1 of 2 kept"]


@pytest.mark.parametrize(
    ("counted", "missed", "too_many"),
    [
        (10_000, 10, False),
        (10_000, 11, True),
        (1999, 1, False),
        (1999, 2, True),
        (590, 1, False),
        (590, 2, True),
        (20, 1, True),
    ],
)
def test_how_many_deadlines_may_be_missed(counted: int, missed: int, too_many: bool) -> None:
    kept = counted - missed
    assert bool(too_late({"keepable": {"counted": counted, "kept": kept}})) is too_many


def test_a_budget_that_is_said_to_be_met_and_was_missed_by_far_is_a_failure(happened: Happened, right: Answer) -> None:
    met, missed = replace(right, budget_met=True), replace(right, budget_met=False)
    happened.outcomes = [Outcome(LATE, 1.0, 2.5, met), Outcome(LATE, 3.0, 4.5, missed), Outcome(LATE, 5.0, 5.05, met)]
    said = [failure for failure in judge(happened)["failures"] if failure.startswith("said to be met: ")]
    assert len(said) == 1
    assert said[0].startswith("said to be met: 1500 ms for 100: ")


def test_what_was_never_injected_and_what_leaks_is_a_failure(happened: Happened, right: Answer) -> None:
    happened.without = {"clocks stepped": "no compiler"}
    happened.outcomes = [Outcome(ORDER, 1.0, 1.1, right)]
    happened.handles = {"device": (20, 100)}
    failures = judge(happened)["failures"]
    assert "never injected: link reset" in failures
    assert "never injected: clocks stepped" not in failures
    assert "device: 20 open files before the faults, 100 after them" in failures


def test_agreement_is_counted_by_who_answered_of_calls_whose_plan_was_free(happened: Happened, right: Answer) -> None:
    other = replace(right, scores=np.roll(right.scores, 1))
    by_little = replace(other, answered_by="tiny", little_precision="fp32")
    forced = replace(ORDER, cut="image", codec="q4")
    calls = [(ORDER, right), (ORDER, right), (ORDER, by_little), (forced, other)]
    happened.outcomes = [Outcome(order, 1.0, 1.1, answer) for order, answer in calls]
    rows = judge(happened)["agreement"]
    assert {row: (found["answered"], found["agreed_of_all"]) for row, found in rows.items()} == {
        "all": (3, 2),
        "tiny": (3, 2),
        "tiny: itself in fp32": (2, 2),
        "tiny: tiny in fp32": (1, 0),
    }
    assert all(found["asked_for"] == 0.99 for found in rows.values())
