"""Streams: ordered, bounded, overlapping, and ended by the error of the image that caused it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import numpy as np
import numpy.typing as npt
import pytest

from collab_sdk import Client, InvalidImage, InvalidRequest, Result
from tests.integration.device.conftest import Bench, Factory
from tests.slowed import slowed

Picture = npt.NDArray[np.uint8]


def check(it: Bench, results: list[Result], images: list[Picture]) -> None:
    for image, result in zip(images, results, strict=True):
        np.testing.assert_allclose(result.scores, it.reference(image), atol=1e-5)


async def test_results_come_in_order(bench: Factory) -> None:
    async with bench(**slowed(50)) as it:
        results = [result async for result in it.client.stream(it.images, "max-throughput,100%", in_flight=5)]
        check(it, results, it.images)

        async def camera() -> AsyncIterator[Picture]:
            for image in it.images[:7]:
                yield image

        check(it, [result async for result in it.client.stream(camera(), "100%")], it.images[:7])
        assert [result async for result in it.client.stream([])] == []


async def test_images_are_taken_no_faster_than_results_are_fetched(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        taken: list[int] = []

        def camera() -> Iterator[Picture]:
            for index, image in enumerate(it.images):
                taken.append(index)
                yield image

        async with aclosing(it.client.stream(camera(), in_flight=3)) as stream:
            for fetched in range(1, 6):
                await anext(stream)
                assert len(taken) == fetched + 2
        assert len(taken) == 7


async def test_an_error_ends_the_stream_in_its_turn(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        stream = it.client.stream([it.images[0], b"no image", it.images[1]])
        np.testing.assert_allclose((await anext(stream)).scores, it.reference(it.images[0]), atol=1e-5)
        with pytest.raises(InvalidImage):
            await anext(stream)
        with pytest.raises(InvalidRequest, match="in_flight"):
            await anext(it.client.stream([], in_flight=0))


async def test_from_a_thread(bench: Factory) -> None:
    import asyncio

    async with bench(cloud=False) as it:

        def run() -> list[Result]:
            with Client(it.socket) as client:
                results = list(client.stream(it.images[:9], in_flight=3))
                with pytest.raises(InvalidRequest, match="in_flight"):
                    next(client.stream([], in_flight=0))
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream")]
            return results

        check(it, await asyncio.to_thread(run), it.images[:9])
