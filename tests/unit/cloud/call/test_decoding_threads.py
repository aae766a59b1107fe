"""Decoding in turn by device, with decodes that last as long as they are told to. Order is asserted, never time."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from PIL import Image

from collab_sdk import wire
from collab_sdk.errors import InvalidImage
from collabd.catalog.package.package import Package
from collabd.cloud.call.decoding_threads import DecodingThreads
from collabd.cloud.call.work import RequestLimits
from collabd.cloud.models.model import CloudModel
from collabd.partition import TensorInfo
from tests.patience import PATIENCE_S

LIMITS = RequestLimits(batch=8, decoded_bytes=2**26)


class Slow(CloudModel):
    """Its requests are decoded until `free` is set."""

    def __init__(self, package: Package) -> None:
        super().__init__(package, package.networks())
        self.began = 0
        self.free = threading.Event()

    def tensor(self, name: str) -> TensorInfo:
        self.began += 1
        assert self.free.wait(PATIENCE_S)
        return super().tensor(name)


@pytest.fixture
async def decoding() -> AsyncIterator[DecodingThreads]:
    it = DecodingThreads()
    yield it
    await asyncio.to_thread(it.close)


@pytest.fixture
def model(tiny_package: Package) -> CloudModel:
    return CloudModel(tiny_package, tiny_package.networks())


def picture(side: int) -> wire.InferRequest:
    """A file of some kB, however large the picture."""
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "PNG")
    return wire.InferRequest([wire.Tensor.from_bytes_list("image", [file.getvalue()])])


def pixels(count: int = 1) -> wire.InferRequest:
    return wire.InferRequest([wire.Tensor.from_array("image", np.zeros((count, 16, 16, 3), np.uint8))])


LARGE = picture(1100)


async def until_it_began(slow: Slow, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while slow.began < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("wanted", [pixels(), picture(200), LARGE, pixels(500)])
async def test_one_devices_large_pictures_keep_no_other_waiting(
    decoding: DecodingThreads, tiny_package: Package, model: CloudModel, wanted: wire.InferRequest
) -> None:
    slow = Slow(tiny_package)
    calls = [asyncio.create_task(decoding.work_of("a", LARGE, slow, limits=LIMITS)) for _ in range(20)]
    await until_it_began(slow, 1)
    limits = RequestLimits(batch=500, decoded_bytes=LIMITS.decoded_bytes)
    for _ in range(3):
        assert (await decoding.work_of("b", wanted, model, limits=limits))[0].feeds["image"].shape[1:] == (16, 16, 3)
    assert (slow.began, any(call.done() for call in calls)) == (1, False)
    slow.free.set()
    await asyncio.gather(*calls)


async def test_nor_do_its_own_keep_what_takes_little(
    decoding: DecodingThreads, tiny_package: Package, model: CloudModel
) -> None:
    slow = Slow(tiny_package)
    call = asyncio.create_task(decoding.work_of("a", LARGE, slow, limits=LIMITS))
    await until_it_began(slow, 1)
    for wanted in (pixels(), picture(200)):
        await decoding.work_of("a", wanted, model, limits=LIMITS)
    assert not call.done()
    slow.free.set()
    await call


async def test_who_hangs_up_does_not_get_another_thread(
    decoding: DecodingThreads, tiny_package: Package, model: CloudModel
) -> None:
    slow = Slow(tiny_package)
    gone = asyncio.create_task(decoding.work_of("a", LARGE, slow, limits=LIMITS))
    await until_it_began(slow, 1)
    gone.cancel()
    again = asyncio.create_task(decoding.work_of("a", LARGE, slow, limits=LIMITS))
    await decoding.work_of("b", LARGE, model, limits=LIMITS)
    assert slow.began == 1
    slow.free.set()
    await again
    assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is asyncio.CancelledError


class Watched(CloudModel):
    """Knows the threads in which its requests are decoded."""

    def __init__(self, package: Package) -> None:
        super().__init__(package, package.networks())
        self.threads: list[str] = []

    def tensor(self, name: str) -> TensorInfo:
        self.threads.append(threading.current_thread().name)
        return super().tensor(name)


@pytest.mark.parametrize(
    ("request_of", "alone", "at_once"),
    [
        (pixels, False, True),
        (lambda: pixels(200), False, False),
        (lambda: picture(100), True, True),
        # Others would have to wait for it.
        (lambda: picture(100), False, False),
        (lambda: picture(500), True, False),
        (lambda: LARGE, True, False),
    ],
)
async def test_what_takes_little_is_decoded_at_once(
    decoding: DecodingThreads,
    tiny_package: Package,
    request_of: Callable[[], wire.InferRequest],
    alone: bool,
    at_once: bool,
) -> None:
    watched = Watched(tiny_package)
    limits = RequestLimits(batch=256, decoded_bytes=2**26)
    work, seconds = await decoding.work_of("a", request_of(), watched, limits=limits, alone=alone)
    assert work.rows >= 1
    assert seconds > 0
    assert (set(watched.threads) == {threading.current_thread().name}) is at_once


async def test_what_is_no_picture_is_refused(decoding: DecodingThreads, model: CloudModel) -> None:
    for size in (100, 2**19):
        nonsense = wire.InferRequest([wire.Tensor.from_bytes_list("image", [bytes(size)])])
        with pytest.raises(InvalidImage):
            await decoding.work_of("a", nonsense, model, limits=LIMITS)
