"""What a call took: its energy is that of the prediction, where all took what was predicted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from collabd.device.companions.companion import Companion
from collabd.device.job.job import CallRecord
from collabd.device.models.model import DeviceModel
from collabd.planning import CallFacts, Candidates, predict
from tests.unit.planning import scene
from tests.unit.planning.scene import SPLIT

DEVICE = replace(scene.DEVICE, speed=1.0, overhead_s=0.002, queue_s=0.007)
CLOUD = replace(scene.CLOUD, speed=1.0)
LATENCY_S = 0.002 + 0.007 + 0.005 + 0.041 + 0.031 + 0.003 + 0.012 + 0.004
# As predicted: 31 ms on the link, of which the bytes moved for 11.
AS_PREDICTED = CallRecord(
    clock=lambda: 0.0,
    started=0.0,
    phases=defaultdict(
        float,
        {
            "prep": 0.005,
            "head": 0.04,
            "encode": 0.001,
            "link": 0.031,
            "queue": 0.003,
            "decode": 0.002,
            "tail": 0.01,
            "answer": 0.004,
        },
    ),
    latency_s=LATENCY_S,
    lane_s=0.007,
    air_s=0.011,
    bytes_up=9_000,
    bytes_down=1_000,
)


def test_the_energy_of_a_call_as_predicted_is_the_predicted_one() -> None:
    wanted = predict(
        Candidates([SPLIT]),
        device=DEVICE,
        clouds=[CLOUD],
        call=CallFacts(0.005, (0.0,), None, answer_s=0.004),
        quantile=0.9,
    )
    assert wanted.latency_s[0] == pytest.approx(LATENCY_S)
    assert AS_PREDICTED.energy_j(DEVICE, LATENCY_S) == pytest.approx(wanted.energy_j[0])


def test_a_tail_that_the_companion_overtook_is_work() -> None:
    overtaken = replace(AS_PREDICTED, overtaken_s=0.01)
    more_j = overtaken.energy_j(DEVICE, LATENCY_S) - AS_PREDICTED.energy_j(DEVICE, LATENCY_S)
    assert more_j == pytest.approx(0.01 * (5.0 - 2.0))


def test_nothing_is_on_the_air_during_the_round_trip(companion: Companion, model: DeviceModel) -> None:
    rtt_s = companion.state_for(model.digest).rtt_s
    assert companion.air_s(rtt_s + 0.010) == pytest.approx(0.010, abs=1e-5)
    assert companion.air_s(rtt_s / 2) == 0
