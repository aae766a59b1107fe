"""Which plans are charged with what a call takes beside its phases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collabd.planning import CallFacts, Candidate, Candidates, predict
from tests.unit.planning import scene

PLANS = Candidates(
    [
        Candidate(cut="output", codec="none", cloud=None, head_s=0.05, local_tail_s=0.05),
        Candidate(cut="image", codec="jpeg", cloud=0, up_bytes=20_000, tail_s=0.01, local_tail_s=0.05),
        Candidate(cut="image", codec="source", cloud=0, up_bytes=300, tail_s=0.01, local_tail_s=0.05),
    ]
)


def overheads(**figures: float) -> list[float]:
    device = replace(scene.DEVICE, **figures)
    call = CallFacts(0.002, (0.001,), 50_000)
    prediction = predict(PLANS, device=device, clouds=[scene.CLOUD], call=call, quantile=0.98)
    return [float(seconds) for seconds in prediction.phases.overhead_s]


def test_each_plan_is_charged_with_what_any_call_takes() -> None:
    assert overheads(overhead_s=0.003) == pytest.approx([0.003, 0.003, 0.003])


def test_only_plans_that_ask_a_companion_are_charged_with_asking() -> None:
    assert overheads(overhead_s=0.0, asking_s=0.004) == pytest.approx([0.0, 0.004, 0.004])


def test_bytes_sent_are_charged_the_file_included() -> None:
    assert overheads(overhead_s=0.0, asking_s_per_byte=1e-7) == pytest.approx([0.0, 0.002, 0.00503])
