"""The tensors of a call, for a network that takes no picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.manifest import Manifest, Port
from collabd.device.job.image import CallImage, ImageSize


def listed(tensors: Iterable[wire.Tensor]) -> str:
    """The names, datatypes and shapes of tensors that came, for messages."""
    return ", ".join(f"{tensor.name[:80]} {tensor.datatype} {list(tensor.shape)}" for tensor in tensors)


@dataclass(eq=False)
class CallTensors:
    """The network's inputs, as the caller sent them. They are no file, and have no pixels."""

    arrays: dict[str, npt.NDArray[np.generic]]
    pixels: ClassVar[int] = 0
    file_bytes: ClassVar[int | None] = None
    upright_size: ClassVar[tuple[int, int]] = (0, 0)

    @classmethod
    def from_request(cls, request: wire.InferRequest, manifest: Manifest) -> CallTensors:
        """Check the inputs of a request. Raises `InvalidTensor`, which says what the network takes and what came."""
        ports = {port.name: port.at_batch_1() for port in manifest.inputs}
        given = {tensor.name: tensor for tensor in request.inputs}
        if given.keys() != ports.keys() or any(not _fits(tensor, ports[name]) for name, tensor in given.items()):
            wanted = ", ".join(f"{name} {_datatype(port)} {list(port.shape)}" for name, port in ports.items())
            raise InvalidTensor(f"{manifest.name} takes tensors: {wanted}; the request has {listed(request.inputs)}")
        return cls({name: given[name].to_array() for name in ports})

    @property
    def nbytes(self) -> int:
        """The size of what the caller sent."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def size(self) -> ImageSize:
        """All sizes of the tensors, as of an image."""
        return ImageSize(self.pixels, self.nbytes, of_file=False)


# What a call is about.
CallInput: TypeAlias = CallImage | CallTensors


def _fits(tensor: wire.Tensor, port: Port) -> bool:
    return tensor.datatype == _datatype(port) and tensor.shape == port.shape


def _datatype(port: Port) -> str:
    return wire.datatype_of(np.dtype(port.dtype))
