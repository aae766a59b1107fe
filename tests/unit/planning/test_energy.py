"""Energy and cost: the formulas by hand, and the same in all that predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from collabd.planning import CallFacts, Candidate, Candidates, predict
from collabd.planning.cost import exchange_cost
from collabd.planning.energy import energy_j
from tests.unit.planning import scene
from tests.unit.planning.scene import CLOUD

DEVICE = replace(scene.DEVICE, speed=1.5, overhead_s=0.002, queue_s=0.007)


@dataclass(frozen=True)
class FreeOfCharge:
    price_per_gb: float = 0.0
    price_per_second: float = 0.0
    price_per_request: float = 0.0


def test_energy_by_hand() -> None:
    """1 s of work, 2 s of waiting, in which 1 Mbit moves for half a second."""
    got = energy_j(DEVICE, busy_s=1.0, idle_s=2.0, air_s=0.5, moved_bytes=125_000.0)
    assert got == pytest.approx(1 * 5.0 + 2 * 2.0 + 0.3 + 0.5 * 0.1)


def test_energy_of_columns_is_that_of_each() -> None:
    columns = {"busy_s": np.array([0.1, 0.2]), "idle_s": np.array([0.0, 0.3]), "air_s": np.array([0.0, 0.1])}
    got = energy_j(DEVICE, **columns, moved_bytes=np.array([0.0, 1e4]))
    assert got.tolist() == pytest.approx(
        [
            energy_j(DEVICE, busy_s=0.1, idle_s=0.0, air_s=0.0, moved_bytes=0.0),
            energy_j(DEVICE, busy_s=0.2, idle_s=0.3, air_s=0.1, moved_bytes=1e4),
        ]
    )


def test_cost_by_hand() -> None:
    assert exchange_cost(CLOUD, moved_bytes=5e8, run_s=3.0, requests=2.0) == pytest.approx(1.0 + 1.5 + 0.002)
    assert exchange_cost(FreeOfCharge(), moved_bytes=5e8, run_s=3.0, requests=2.0) == 0


def test_a_prediction_has_the_energy_and_the_cost_of_its_phases() -> None:
    plans = Candidates(
        [
            Candidate(cut="output", codec="none", cloud=None, head_s=0.1, local_tail_s=0.1),
            Candidate(
                cut="mid",
                codec="q8",
                cloud=0,
                head_s=0.04,
                encode_s=0.001,
                up_bytes=9_000,
                down_bytes=1_000,
                decode_s=0.002,
                tail_s=0.01,
                local_tail_s=0.06,
            ),
        ]
    )
    got = predict(plans, device=DEVICE, clouds=[CLOUD], call=CallFacts(0.005, (0.0,), None), quantile=0.9)
    phases = got.phases
    assert got.latency_s.tolist() == pytest.approx(np.sum(phases, axis=0).tolist())
    moved_bytes = np.array([0.0, 10_000.0])
    energy = energy_j(
        DEVICE,
        busy_s=phases.overhead_s + phases.busy_s,
        idle_s=phases.lane_s + phases.link_s + phases.queue_s + phases.remote_s,
        air_s=got.transfer_s,
        moved_bytes=moved_bytes,
    )
    assert got.energy_j.tolist() == pytest.approx(energy.tolist())
    cost = exchange_cost(CLOUD, moved_bytes=moved_bytes, run_s=phases.tail_s, requests=np.array([0.0, 1.0]))
    assert got.cost.tolist() == pytest.approx(cost.tolist())
