"""How long a call will wait for the lane, and how planning uses that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from collabd.config import DeviceConfig
from collabd.device.companions.companion import Companion
from collabd.device.job.options import CallOptions
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.model import DeviceModel
from collabd.device.run.compute import compute_on
from collabd.device.run.executor import Executor
from collabd.engine import Engine, Stop
from tests.device_parts import new_record, planner_of
from tests.patience import PATIENCE_S, reached
from tests.unit.device.conftest import FILE, PIXELS, planner


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane(ComputeThread())
    yield lane
    lane.close()


async def test_what_is_due_later_is_not_waited_for() -> None:
    lane = Lane(ComputeThread(), clock=lambda: 100.0)
    with lane.claimed(101.0, 0.3) as first, lane.claimed(102.0, 0.5):
        assert [lane.wait_s(within_s) for within_s in (0.5, 1.0, 1.5, 2.0)] == [0.0, 0.3, 0.3, 0.8]
        first.left_s = 0.2
        assert lane.wait_s(1.0) == 0.2
    assert lane.wait_s(9.0) == 0.0
    lane.close()


async def test_what_has_run_is_not_waited_for_any_longer(lane: Lane) -> None:
    with lane.claimed(None, 60.0) as claim:
        timed = await lane.run(lambda _: threading.Event().wait(0.001), claim=claim)
        assert lane.wait_s(None) == claim.left_s == 60.0 - timed.seconds
        claim.left_s = timed.seconds / 1e9
        await lane.run(lambda _: None, claim=claim)
        assert claim.left_s == 0.0


async def test_what_runs_is_waited_for_whatever_is_due_when(lane: Lane) -> None:
    go_on, runs = threading.Event(), threading.Event()

    def work(_: Stop) -> None:
        runs.set()
        reached(go_on)

    assert lane.wait_s(None) == 0.0
    with lane.claimed(lane.clock() + 1.0, 100.0):
        under_way = asyncio.create_task(lane.run(work, expect_s=60.0))
        await asyncio.to_thread(reached, runs)
        assert lane.wait_s(0.001) == pytest.approx(60.0, abs=30.0)
        assert lane.wait_s(5.0) == pytest.approx(100.0, abs=30.0)
        go_on.set()
        await under_way
    assert lane.wait_s(None) == 0.0


async def test_a_call_that_waits_for_another_says_so(lane: Lane, model: DeviceModel) -> None:
    engine = Engine(threads=1, cache_bytes=2**26)
    engine.add(model.key, model.network)
    executor = Executor(compute_on(engine), lane, hedge_price=0.0)
    options = CallOptions.from_parameters({})
    it = planner_of(DeviceConfig(), [], lane_wait_s=lane.wait_s)
    free = threading.Event()
    held = asyncio.create_task(lane.run(lambda _: free.wait(PATIENCE_S), expect_s=100.0))
    await asyncio.sleep(0.05)
    planned, record = await it.plan(model, PIXELS, options), new_record()
    assert 50.0 < planned.evaluation.device.queue_s <= 100.0
    under_way = asyncio.create_task(executor.run(planned.job, PIXELS, record))
    await asyncio.sleep(0.2)
    assert lane.wait_s(None) > planned.evaluation.device.queue_s - 20.0
    free.set()
    await under_way
    await held
    assert lane.wait_s(None) == 0.0
    # The time that the call waited counts neither as overhead nor as a phase.
    assert record.lane_s > 0.1
    record.alone = False
    phases_s = sum(record.phases.values())
    assert record.served_s() + phases_s <= record.latency_s - record.lane_s


def test_who_sends_the_file_does_not_wait_for_the_lane(model: DeviceModel, companion: Companion) -> None:
    it, options = planner(companion), CallOptions.from_parameters({})
    free, taken = (it.evaluate(model, FILE, options, lane_wait_s=wait_s) for wait_s in (0.0, 0.5))
    waits_s = taken.prediction.latency_s - free.prediction.latency_s
    assert waits_s[free.plans.source] == pytest.approx(0.0, abs=1e-4)
    assert waits_s[~free.plans.source] == pytest.approx(0.5, rel=0.01)
    row = it.decide(taken).row
    assert taken.plans.source[row]
    assert free.plans.local[it.decide(free).row]
