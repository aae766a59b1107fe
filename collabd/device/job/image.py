"""The image of a call: an encoded file, or pixels. A file is decoded only when a plan needs its pixels."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collab_sdk import wire
from collab_sdk.channels import Channels, channels_of
from collab_sdk.errors import InvalidTensor
from collabd.catalog.package.manifest import Picture
from collabd.imaging import OpenImage, frame_size, one_frame, prepare
from collabd.imaging.floats import network_pixels


class ImageSize(NamedTuple):
    """The pixels of an image, the bytes that the caller sent for it, and whether these were a file."""

    pixels: int
    nbytes: int
    of_file: bool


@dataclass(eq=False)
class CallImage:
    """The image as the caller sent it. `pixels`: the number of pixels of this image, not of the network's input.

    `channels`: the channels of an array; a file ignores them. `file_bytes`: the size of the file in bytes; None if the
    caller sent pixels. `opened`: the file with its header read, if it was read.
    """

    content: bytes | npt.NDArray[np.uint8]
    pixels: int
    channels: Channels = Channels.RGB
    _: KW_ONLY
    opened: OpenImage | None = None
    # The picture is the input of a network that describes it so, and is prepared for that one already.
    input_of: Picture | None = None
    file_bytes: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.file_bytes = len(self.content) if isinstance(self.content, bytes) else None

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the image in pixels, as it is shown."""
        if isinstance(self.content, bytes):
            return (self.opened or OpenImage(self.content)).upright_size
        return frame_size(self.content, self.channels)

    @property
    def nbytes(self) -> int:
        """The size of what the caller sent."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.nbytes

    @classmethod
    def from_request(cls, request: wire.InferRequest, spec: Picture) -> CallImage:
        """Check the one input of a request, for a network with this input, without decoding it.

        Floats are the network's input itself. Raises `InvalidImage`, `InvalidTensor`.
        """
        if len(request.inputs) != 1:
            raise InvalidTensor(f"send one picture in each request, not {len(request.inputs)} tensors")
        tensor = request.inputs[0]
        if tensor.datatype == "BYTES":
            files = tensor.to_bytes_list()
            if len(files) != 1:
                raise InvalidTensor(f"send one image in each request, not {len(files)}")
            opened = OpenImage(files[0])
            width, height = opened.size
            return cls(files[0], width * height, opened=opened)
        if tensor.datatype == "FP32":
            return cls(network_pixels(tensor.to_array(), spec), spec.width * spec.height, input_of=spec)
        channels = channels_of(tensor.parameters.get("channels", request.parameters.get("channels", "rgb")))
        frame = one_frame(tensor.to_array(), channels)
        width, height = frame_size(frame, channels)
        return cls(frame, width * height, channels)

    @property
    def size(self) -> ImageSize:
        """All sizes of the image."""
        return ImageSize(self.pixels, self.nbytes, self.file_bytes is not None)

    def prepare(self, spec: Picture) -> npt.NDArray[np.uint8]:
        """The network's input, uint8 [1, height, width, 3]. Raises `InvalidImage`."""
        if isinstance(self.content, np.ndarray) and spec == self.input_of:
            return self.content[np.newaxis]
        return prepare(self.opened or self.content, spec, self.channels)

    def as_file(self, name: str) -> wire.Tensor:
        """The unchanged file as the wire tensor `name`. Raises `InvalidTensor` if the caller sent pixels."""
        if not isinstance(self.content, bytes):
            raise InvalidTensor("codec source needs an image file, not pixels: choose another codec")
        return wire.Tensor.from_bytes_list(name, [self.content])
