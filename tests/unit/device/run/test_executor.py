"""Racing the companion: who is first, and what that is called."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from collab_sdk import wire
from collab_sdk.errors import CompanionUnavailable
from collabd.catalog.package.package import Package
from collabd.config import FailoverSettings
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Dialler
from collabd.device.companions.connections import Connections
from collabd.device.job.image import CallImage
from collabd.device.job.job import CallRecord
from collabd.device.job.options import CallOptions
from collabd.device.lane.lane import ComputeThread, Lane
from collabd.device.models.model import DeviceModel
from collabd.device.run.compute import compute_on
from collabd.device.run.executor import Executor
from collabd.engine import Engine, Stop
from collabd.profiling.profile import Profile
from tests.device_parts import companion_at, new_record
from tests.unit.device.conftest import PIXELS, link_is, planner


@pytest.fixture
async def silent(tiny_package: Package, profile: Profile) -> AsyncIterator[Companion]:
    """A companion that takes tails and never answers."""

    async def hang(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(60)
        raise AssertionError("the device should have hung up")

    app = web.Application()
    app.add_routes([web.post("/v2/models/{name}/infer", hang)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Connections(Dialler()) as connections:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        companion = companion_at(url, connections)
        companion.reached = True
        companion.profiles[tiny_package.digest] = profile
        yield companion
    await runner.cleanup()


@pytest.fixture
def executor(model: DeviceModel) -> Iterator[Executor]:
    engine = Engine(threads=1, cache_bytes=2**26)
    engine.add(model.key, model.network)
    lane = Lane(ComputeThread())
    yield Executor(compute_on(engine), lane, hedge_price=0.0)
    lane.close()


async def run(executor: Executor, model: DeviceModel, companion: Companion, **parameters: str) -> CallRecord:
    planned = await planner(companion).plan(model, PIXELS, CallOptions.from_parameters({"codec": "u8", **parameters}))
    assert planned.job.companion is companion
    record = new_record()
    found = await executor.run(planned.job, PIXELS, record)
    image = {"image": PIXELS.prepare(model.manifest.require_picture())}
    whole = executor.compute.run_layers(model.key, image, ("logits",), stop=Stop())
    assert found.keys() == {"logits"}
    np.testing.assert_allclose(np.asarray(found["logits"], np.float32), whole["logits"], atol=1e-5)
    assert record.ran == "D" * len(model.manifest.layers)
    assert "did not answer within" in record.why
    return record


class Unsendable(CallImage):
    """A file that cannot be packed, by a defect of ours."""

    def as_file(self, name: str) -> wire.Tensor:
        raise LookupError(name)


async def test_what_cannot_be_packed_is_finished_here(
    executor: Executor, model: DeviceModel, silent: Companion
) -> None:
    link_is(silent, 100)
    image, file = np.full((16, 16, 3), 100, np.uint8), io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    sent = Unsendable(file.getvalue(), image.size // 3)
    for fallback in ("local", "fail"):
        options = CallOptions.from_parameters({"cut": "image", "codec": "source", "fallback": fallback})
        planned = await planner(silent).plan(model, sent, options)
        record = new_record()
        if fallback == "fail":
            with pytest.raises(CompanionUnavailable, match="cannot be sent: LookupError"):
                await executor.run(planned.job, sent, record)
        else:
            found = await executor.run(planned.job, sent, record)
            whole = executor.compute.run_layers(model.key, {"image": image[None]}, ("logits",), stop=Stop())
            np.testing.assert_allclose(np.asarray(found["logits"], np.float32), whole["logits"], atol=1e-5)
            assert (record.ran, record.degraded) == ("D" * len(model.manifest.layers), True)


async def test_to_be_faster_than_an_answer_that_is_not_due_is_no_failure(
    executor: Executor, model: DeviceModel, silent: Companion
) -> None:
    link_is(silent, 0.01)  # so that it is due in a second or so
    assert not (await run(executor, model, silent)).degraded
    assert silent.is_up()


async def test_an_answer_that_is_overdue_is_one(executor: Executor, model: DeviceModel, silent: Companion) -> None:
    link_is(silent, 100)
    # Energy counts: the tail is not run here before the answer is as good as lost.
    assert (await run(executor, model, silent, budget="min-energy")).degraded
    for _ in range(FailoverSettings().breaker_failures - 1):
        assert silent.is_up()
        await run(executor, model, silent, budget="min-energy")
    assert not silent.is_up()
