"""The formulas, by hand."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from collabd.planning import CallFacts, Candidate, Candidates, predict
from collabd.planning.candidates import SOURCE
from tests.unit.planning.scene import CLOUD, DEVICE, SPLIT

LOCAL = Candidate(cut="output", codec="none", cloud=None, head_s=0.1, local_tail_s=0.1)
FILE = Candidate(cut="image", codec=SOURCE, cloud=0, up_bytes=300, down_bytes=1_000, tail_s=0.02, local_tail_s=0.1)
PLANS = Candidates([LOCAL, SPLIT, FILE])
CALL = CallFacts(prep_s=0.005, cloud_prep_s=(0.001,), source_bytes=20_000)


def test_local() -> None:
    got = predict(PLANS, device=DEVICE, clouds=[CLOUD], call=CALL, quantile=0.95)
    assert got.latency_s[0] == pytest.approx(0.005 + 0.1 * 2)
    assert got.energy_j[0] == pytest.approx(5.0 * 0.205)
    assert got.cost[0] == 0
    assert got.deadline_s[0] == pytest.approx(0.205 + NormalDist().inv_cdf(0.95) * 0.1 * 0.205)


def test_one_crossing() -> None:
    got = predict(PLANS, device=DEVICE, clouds=[CLOUD], call=CALL, quantile=0.95)
    busy = 0.005 + 0.04 * 2 + 0.001 * 2
    link = 0.02 + 9_000 * 1e-6 + 1_000 * 2e-6
    remote = (0.002 + 0.01) * 1.5
    assert got.latency_s[1] == pytest.approx(busy + link + 0.003 + remote)
    transmit = 10_000 * 8 * 0.3 / 1e6 + 11_000 * 1e-6 * 0.1
    assert got.energy_j[1] == pytest.approx(5 * busy + 2 * (link + 0.003 + remote) + transmit)
    assert got.cost[1] == pytest.approx(10_000 * 2 / 1e9 + 0.01 * 1.5 * 0.5 + 0.001)
    deviation = np.hypot(np.hypot(0.1 * busy, 0.2 * (link - 0.02)), 0.1 * (remote + 0.003))
    assert got.deadline_s[1] == pytest.approx(got.latency_s[1] + NormalDist().inv_cdf(0.95) * deviation)


def test_the_file_as_it_came_is_decoded_there_and_not_here() -> None:
    got = predict(PLANS, device=DEVICE, clouds=[CLOUD], call=CALL, quantile=0.95)
    assert got.phases.prep_s[2] == 0
    assert got.phases.link_s[2] == pytest.approx(0.02 + 20_300e-6 + 1_000 * 2e-6)
    assert got.latency_s[2] == pytest.approx(0.02 + 20_300e-6 + 1_000 * 2e-6 + 0.003 + (0.001 + 0.02) * 1.5)


def test_every_plan_ends_with_the_answer_made_here() -> None:
    found = {
        answer_s: predict(PLANS, device=DEVICE, clouds=[CLOUD], call=replace(CALL, answer_s=answer_s), quantile=0.95)
        for answer_s in (0.0, 0.03)
    }
    assert (found[0.03].latency_s - found[0.0].latency_s).tolist() == pytest.approx([0.03] * 3)
    assert (found[0.03].energy_j - found[0.0].energy_j).tolist() == pytest.approx([5.0 * 0.03] * 3)
    assert found[0.03].phases.answer_s.tolist() == pytest.approx([0.03] * 3)
    assert found[0.03].phases.prep_s.tolist() == found[0.0].phases.prep_s.tolist()
    # Also where the device runs the rest itself, after the companion has failed.
    assert (found[0.03].basis.home_s - found[0.0].basis.home_s).tolist() == pytest.approx([0.03] * 3)


def test_what_is_impossible() -> None:
    down = replace(CLOUD, up=False)
    assert predict(PLANS, device=DEVICE, clouds=[down], call=CALL, quantile=0.9).possible.tolist() == [
        True,
        False,
        False,
    ]
    pixels = replace(CALL, source_bytes=None)
    assert predict(PLANS, device=DEVICE, clouds=[CLOUD], call=pixels, quantile=0.9).possible.tolist() == [
        True,
        True,
        False,
    ]


def test_each_plan_is_evaluated_with_its_own_companion() -> None:
    far = replace(CLOUD, name="far", rtt_s=0.5)
    plans = Candidates([LOCAL, SPLIT, replace(SPLIT, cloud=1)])
    got = predict(plans, device=DEVICE, clouds=[CLOUD, far], call=replace(CALL, cloud_prep_s=(0.0, 0.0)), quantile=0.9)
    assert got.latency_s[2] - got.latency_s[1] == pytest.approx(0.48)


def test_no_companion_at_all() -> None:
    got = predict(Candidates([LOCAL]), device=DEVICE, clouds=[], call=CallFacts(0.0, (), None), quantile=0.9)
    assert got.latency_s.tolist() == [0.2]
    assert got.possible.tolist() == [True]
