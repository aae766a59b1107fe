"""What is built ahead is what the next calls use, and it takes no room from what they have used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from collabd.device.companions.companion import Companion
from collabd.device.job.job import Job
from collabd.device.job.options import CallOptions
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.model import DeviceModel
from collabd.device.run.ahead import SessionsAhead
from collabd.device.run.compute import compute_on
from collabd.device.run.executor import Executor
from collabd.engine import Engine
from tests.device_parts import new_record
from tests.patience import PATIENCE_S
from tests.unit.device.conftest import PIXELS, planner


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane(ComputeThread())
    yield lane
    lane.close()


def engine_for(model: DeviceModel, cache_bytes: int = 2**26) -> Engine:
    engine = Engine(threads=1, cache_bytes=cache_bytes)
    engine.add(model.key, model.network)
    return engine


async def planned_job(companion: Companion, model: DeviceModel, **parameters: str) -> Job:
    return (await planner(companion).plan(model, PIXELS, CallOptions.from_parameters(parameters))).job


async def build_ahead(jobs: list[Job], engine: Engine, lane: Lane) -> None:
    """What the background task does when a choice was made."""
    looked, changed = asyncio.Event(), asyncio.Event()

    def likely() -> Iterator[Job]:
        yield from jobs
        looked.set()

    changed.set()
    task = asyncio.create_task(SessionsAhead(likely, changed, engine, lane=lane).run())
    await asyncio.wait_for(looked.wait(), PATIENCE_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_call_whose_companion_fails_builds_nothing(
    model: DeviceModel, companion: Companion, lane: Lane
) -> None:
    engine = engine_for(model)
    job = await planned_job(companion, model, cut="pool1", codec="f32")
    await build_ahead([job], engine, lane)
    assert engine.stats.sessions == 2
    # Nobody is there to be asked, so the device runs the tail too.
    record = new_record()
    found = await Executor(compute_on(engine), lane, hedge_price=0.0).run(job, PIXELS, record)
    assert record.ran == "D" * len(model.manifest.layers)
    assert engine.stats.builds == 2
    whole = engine.run(model.key, {"image": PIXELS.prepare(model.manifest.require_picture())}, ("logits",))
    np.testing.assert_allclose(np.asarray(found["logits"], np.float32), whole["logits"], atol=1e-5)


async def test_where_the_device_may_not_finish_it_needs_the_head_alone(
    model: DeviceModel, companion: Companion, lane: Lane
) -> None:
    engine = engine_for(model)
    await build_ahead([await planned_job(companion, model, cut="pool1", codec="f32", fallback="fail")], engine, lane)
    assert engine.stats.sessions == 1


async def test_a_cache_that_is_half_full_has_no_room(model: DeviceModel, companion: Companion, lane: Lane) -> None:
    job = await planned_job(companion, model, cut="pool1", codec="f32")
    engine = engine_for(model)
    engine.prepare(model.key, model.inputs, model.outputs)
    full = engine_for(model, cache_bytes=engine.stats.bytes)
    full.prepare(model.key, model.inputs, model.outputs)
    await build_ahead([job], full, lane)
    assert full.stats.sessions == 1


async def test_the_best_plan_that_cuts_elsewhere_is_likely_too(model: DeviceModel, companion: Companion) -> None:
    plans = planner(companion)
    plan = await plans.plan(model, PIXELS, CallOptions.from_parameters({}))
    assert plans.chose_anew.is_set()
    first, second = plans.likely_jobs()
    assert first is plan.job
    assert [step.stage for step in second.steps] != [step.stage for step in first.steps]
