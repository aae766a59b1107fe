"""Outputs as they travel. Those that take long to compress are compressed in a thread, not in the event loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collabd.cloud.call.work import Tensors
from collabd.codec import encode
from collabd.http.parameters import PACKED
from collabd.worker import Worker

# To compress so many bytes takes as long as the way to a thread and back: 30 us on a PC.
_LITTLE_BYTES = 2**15


class AnswerCoding:
    """Makes tensors of outputs. `worker`: compresses what is large, one answer after the other."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def tensors(self, outputs: Tensors, names: Sequence[str], packed: Collection[str]) -> list[wire.Tensor]:
        """These outputs. Of those that are `packed`, uint8, which a class map is, is compressed."""
        packed = {name for name in packed if outputs[name].dtype == np.uint8}
        coded = partial(_tensors, outputs, names, packed)
        if sum(outputs[name].nbytes for name in packed) <= _LITTLE_BYTES:
            return coded()
        return await self._worker.run(coded)


def _tensors(outputs: Tensors, names: Sequence[str], packed: Collection[str]) -> list[wire.Tensor]:
    return [(_packed if name in packed else wire.Tensor.from_array)(name, outputs[name]) for name in names]


def _packed(name: str, array: npt.NDArray[Any]) -> wire.Tensor:
    encoded = encode(array, PACKED["codec"])
    datatype = wire.datatype_of(array.dtype)
    return wire.Tensor(name, datatype, array.shape, data=encoded.payload, parameters=encoded.parameters)
