"""The image of a call: an encoded file or pixels, decoded no earlier than a plan needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.errors import InvalidTensor
from collabd.catalog.manifest import Preprocessing
from collabd.imaging import open_image, prepare


@dataclass(frozen=True)
class Photo:
    """What the caller gave. `pixels` counts those of the original, not of the network's input."""

    content: bytes | npt.NDArray[np.uint8]
    pixels: int

    @classmethod
    def from_request(cls, request: wire.InferRequest) -> Photo:
        """Check the one input of a request without decoding it. Raises `InvalidImage`, `InvalidTensor`."""
        if len(request.inputs) != 1:
            raise InvalidTensor(f"one image a request, not {len(request.inputs)} tensors")
        tensor = request.inputs[0]
        if tensor.datatype == "BYTES":
            files = tensor.to_bytes_list()
            if len(files) != 1:
                raise InvalidTensor(f"one image a request, not {len(files)}")
            width, height = open_image(files[0]).size
            return cls(files[0], width * height)
        array = tensor.to_array()
        if array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
            raise InvalidTensor(
                f"an image is uint8 [height, width, 3] or an encoded file as BYTES [1], not {tensor.datatype} "
                f"{list(tensor.shape)}"
            )
        return cls(array, array.shape[0] * array.shape[1])

    @property
    def file_bytes(self) -> int | None:
        """Size of the file; None if the caller gave pixels."""
        return len(self.content) if isinstance(self.content, bytes) else None

    def prepare(self, spec: Preprocessing) -> npt.NDArray[np.uint8]:
        """The network's input, uint8 [1, height, width, 3]. Raises `InvalidImage`."""
        return prepare(self.content, spec)

    def as_file(self, name: str) -> wire.Tensor:
        """The file as it came, as a wire tensor."""
        if not isinstance(self.content, bytes):
            raise InvalidTensor("pixels have no file to send: choose another codec")
        return wire.Tensor.from_bytes_list(name, [self.content])
