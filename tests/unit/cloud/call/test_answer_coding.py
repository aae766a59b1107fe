"""Where the outputs of an answer are coded: large class maps in the thread, all others at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from collabd.cloud.call.answer_coding import AnswerCoding
from collabd.cloud.call.work import Tensors
from collabd.codec import decode
from collabd.worker import Worker
from tests.patience import PATIENCE_S


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    it = Worker("coding")
    yield it
    await asyncio.to_thread(it.shutdown)


def class_map(side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.add.outer(np.arange(side), np.arange(side))[None].astype(np.uint8) // 16


async def test_only_a_large_class_map_waits_for_the_thread(worker: Worker) -> None:
    coding, free = AnswerCoding(worker), threading.Event()
    worker.submit(free.wait, PATIENCE_S)
    small, large, raw = class_map(128), class_map(512), np.zeros((1, 21, 128, 128), np.float32)
    waiting = asyncio.create_task(coding.tensors({"map": large}, ["map"], {"map"}))
    # These are answered while the thread is busy: too small, not to be packed, no class map.
    outputs: Tensors = {"small": small, "unpacked": large, "raw": raw}
    for name, array in outputs.items():
        (tensor,) = await coding.tensors(outputs, [name], {"small", "raw"} & {name})
        assert tensor.shape == array.shape
    assert not waiting.done()
    free.set()
    (tensor,) = await waiting
    found = decode(tensor.data, tensor.parameters, dtype=tensor.dtype, shape=tensor.shape)
    np.testing.assert_array_equal(found, large)
    assert len(tensor.data) < large.nbytes / 4


async def test_outputs_come_in_the_order_asked_for_and_only_class_maps_are_packed(worker: Worker) -> None:
    outputs: Tensors = {"a": class_map(16), "b": np.ones((1, 3), np.float32), "c": class_map(256)}
    tensors = await AnswerCoding(worker).tensors(outputs, ["c", "b", "a"], {"a", "b", "c"})
    assert [(each.name, each.parameters.get("codec")) for each in tensors] == [("c", "u8"), ("b", None), ("a", "u8")]
