"""A companion with several lanes: each answer is the engine's own, whoever asks beside, hangs up or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk import wire
from collab_sdk.errors import Overloaded
from collabd.catalog.package.package import Package
from collabd.codec import encode
from tests.integration.cloud.conftest import Companion, Local
from tests.integration.cloud.test_service import figures, held_up, queued, request
from tests.patience import PATIENCE_S

Images = npt.NDArray[np.uint8]
ENGINE = {"threads": 3, "lanes": 3}


@pytest.fixture
async def companion(start: Callable[..., Any], package: Package) -> AsyncIterator[Companion]:
    async with start(package.path.parent, engine=ENGINE) as companion:
        yield companion


def tail(package: Package, local: Local, image: Images) -> wire.InferRequest:
    layer = next(layer for layer in package.manifest.layers if len(layer.tensors) > 1)
    tensors = []
    for name, array in local.features(image, layer.tensors).items():
        encoded = encode(array, "f32")
        tensors.append(wire.Tensor(name, "FP32", array.shape, data=encoded.payload, parameters=encoded.parameters))
    return wire.InferRequest(tensors, parameters={"digest": package.digest})


async def test_whatever_runs_side_by_side_each_gets_its_own(
    companion: Companion, package: Package, local: Local, images: Images
) -> None:
    expected = local.whole(images)

    async def ask(number: int) -> None:
        first, rows = number % len(images), 1 + number % 3
        if number % 2:
            asked, rows = tail(package, local, images[first : first + 1]), 1
        else:
            asked = request(images[first : first + rows])
        answer = await companion.infer("branchy", asked)
        found = answer.outputs[0].to_array()
        np.testing.assert_allclose(found, expected[first : first + rows], rtol=1e-4, atol=1e-5)

    async def caller(number: int) -> None:
        for turn in range(12):
            await ask(7 * number + turn)

    await asyncio.gather(*(caller(number) for number in range(12)))
    counted = await figures(companion)
    assert counted["collab_cloud_lanes"] == 3
    assert counted["collab_cloud_lanes_busy"] == 0
    assert counted['collab_cloud_requests_total{model="branchy",outcome="ok"}'] == 144
    # Under load each lane has a core.
    assert counted['collab_cloud_runs_total{cores="1"}'] > 0
    status = companion.cloud.reporter.status()
    assert (status["lanes"], status["queue"]) == ({"count": 3, "busy": 0, "cores": 3}, 0)


async def test_a_request_that_is_alone_has_all_cores(companion: Companion, local: Local, images: Images) -> None:
    for number in range(3):
        answer = await companion.infer("branchy", request(images[number : number + 1]))
        found = answer.outputs[0].to_array()
        np.testing.assert_allclose(found, local.whole(images[number : number + 1]), rtol=1e-4, atol=1e-5)
    counted = await figures(companion)
    assert counted['collab_cloud_runs_total{cores="3"}'] == 3


async def test_who_hangs_up_frees_its_place_and_the_others_are_answered(
    companion: Companion, local: Local, images: Images
) -> None:
    release = held_up(companion)
    tasks = [asyncio.create_task(companion.infer("branchy", request(images[i : i + 1]))) for i in range(12)]
    await queued(companion, 9)
    for task in tasks[6:]:
        task.cancel()
    await asyncio.gather(*tasks[6:], return_exceptions=True)
    async with asyncio.timeout(PATIENCE_S):
        while companion.cloud.places.taken > 6:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    release.set()
    answers = await asyncio.gather(*tasks[:6])
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[i : i + 1]), rtol=1e-4, atol=1e-5)
    assert (companion.cloud.places.taken, companion.cloud.places.waiting) == (0, 0)


async def test_what_every_lane_has_begun_is_answered_before_the_end(
    companion: Companion, local: Local, images: Images
) -> None:
    release = held_up(companion)
    tasks = [asyncio.create_task(companion.infer("branchy", request(images[i : i + 1]))) for i in range(8)]
    await queued(companion, 5)
    draining = asyncio.create_task(companion.cloud.dispatcher.drain())
    await asyncio.sleep(0)
    release.set()
    for i, answer in enumerate(await asyncio.gather(*tasks)):
        np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[i : i + 1]), rtol=1e-4, atol=1e-5)
    await draining


async def test_those_who_are_refused_come_again_and_are_answered(
    start: Callable[..., Any], package: Package, local: Local, images: Images
) -> None:
    async with start(package.path.parent, engine=ENGINE, batching={"queue": 4}) as companion:

        async def ask(number: int) -> int:
            refused = 0
            while True:
                try:
                    answer = await companion.infer("branchy", request(images[number : number + 1]))
                except Overloaded:
                    refused += 1
                    # Sooner than it is told, which no answer may depend on.
                    await asyncio.sleep(0.01)
                else:
                    found = answer.outputs[0].to_array()
                    np.testing.assert_allclose(found, local.whole(images[number : number + 1]), rtol=1e-4, atol=1e-5)
                    return refused

        release = held_up(companion)
        asking = [asyncio.create_task(ask(number)) for number in range(16)]
        await queued(companion, 3)
        release.set()
        assert sum(await asyncio.gather(*asking)) > 0
