"""Makes what travels to the daemon from an application's image, or from its tensors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collab_sdk._tensor import LENGTH_BYTES, length_of
from collab_sdk.channels import Channels, channels_of, check_pixels
from collab_sdk.errors import InvalidImage, InvalidTensor, RequestTooLarge
from collab_sdk.pillow import DAMAGE, TURNED, UPRIGHT, PilImage, orientation_of, to_rgb
from collab_sdk.wire import Tensor, WireError

__all__ = ["MAX_FILE_BYTES", "Image", "Tensors", "image_tensor"]

MAX_FILE_BYTES = 256 * 2**20
# Pixels; as RGB they are 48 MB, which a request may carry. The SDK shrinks a larger Pillow image by a whole number, as
# the daemon does with a file.
_MAX_PIL_PIXELS = 2**24

_IN_MEMORY = (bytes, bytearray, memoryview)

Image = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | PilImage
# The inputs of a network of the task "tensors", by name.
Tensors: TypeAlias = Mapping[str, NDArray[Any]]


class Sent(NamedTuple):
    """What travels of an image: an array, which is not checked yet, or the data of a BYTES tensor [1].

    ``channels``: those of an array. ``full_size``: width and height of a Pillow image that travels smaller; else None.
    """

    given: NDArray[Any] | Sequence[bytes | memoryview]
    channels: Channels | str
    full_size: tuple[int, int] | None = None


def image_tensor(image: Image, channels: Channels | str = Channels.RGB) -> Tensor:
    """The input tensor "image" for a path, an encoded file's bytes, a Pillow image or an array.

    Files and bytes travel as they are: BYTES [1] (JPEG, PNG, WebP, AVIF, BMP, GIF, PPM). Pillow images travel as UINT8
    [height, width, 3]; the SDK makes them RGB and upright, as the daemon does with a file. Arrays travel as they are,
    UINT8 of their shape. ``channels`` is for arrays only; the tensor has it as a parameter unless it is "rgb".

    `InvalidImage`: no such file, an unreadable or empty one, or no image at all. `InvalidTensor`: an array of another
    dtype or shape than ``channels`` needs, or no such channels. `RequestTooLarge`: a file over `MAX_FILE_BYTES`.
    """
    given, channels, _ = as_sent(image, channels_of(channels))
    if isinstance(given, np.ndarray):
        tensor = form_of(given.shape, given.dtype, channels)
        tensor.data = bytes_of(given)
    else:
        tensor = form_of(None, None, channels)
        tensor.data = b"".join(given)
    return tensor


def as_sent(image: Image, channels: Channels | str) -> Sent:
    """What travels of an image."""
    if isinstance(image, np.ndarray):
        return Sent(image, channels)
    if isinstance(image, _IN_MEMORY):
        if not image:
            raise InvalidImage("the image is empty (0 bytes)")
        data = image if isinstance(image, bytes) else memoryview(image).cast("B")
        return Sent((length_of(data), data), channels)
    if isinstance(image, str | os.PathLike):
        return Sent((_file(image),), channels)
    if isinstance(image, PilImage):
        return _from_pillow(image)
    raise InvalidImage(
        f"a {type(image).__name__} is not an image: give a path, an encoded file's bytes, a PIL image or a uint8 array "
        'of shape [height, width, 3]; tensors go by name, as in infer({"input": array})'
    )


def tensors_of(arrays: Tensors) -> list[Tensor]:
    """The input tensors for these arrays. `InvalidTensor`: one is no array, or the protocol has no such dtype."""
    if not arrays:
        raise InvalidTensor("there is no tensor: give one array or more by name")
    return [_tensor(name, array) for name, array in arrays.items()]


def _tensor(name: Any, array: Any) -> Tensor:
    if not (isinstance(name, str) and name and isinstance(array, np.ndarray)):
        raise InvalidTensor(
            f"the tensor {name!r:.80} is a {type(array).__name__}: give numpy arrays by the names of the inputs"
        )
    try:
        return Tensor.from_array(name, array)
    except WireError as error:
        raise InvalidTensor(f"the tensor {name!r:.80}: {error}") from error


def form_of(shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None, channels: Channels | str) -> Tensor:
    """The tensor without its data, for an array of this shape and dtype, or for a file. `InvalidTensor`."""
    channels = channels_of(channels)
    if shape is None or dtype is None:
        return Tensor("image", "BYTES", (1,), data=b"")
    check_pixels(dtype, shape, channels)
    parameters = {} if channels == Channels.RGB else {"channels": channels.value}
    return Tensor("image", "UINT8", shape, data=b"", parameters=parameters)


def bytes_of(pixels: NDArray[Any]) -> memoryview:
    """The pixels, row-major; the array's own memory, if they lie so in it."""
    view = pixels.data
    return (view if view.c_contiguous else np.ascontiguousarray(pixels).data).cast("B")


def _file(path: str | os.PathLike[str]) -> memoryview:
    """The file, read once, behind its length."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = _whole(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise InvalidImage(f"cannot read the image {str(path)!r}: {getattr(error, 'strerror', error)}") from error
    if len(data) > LENGTH_BYTES + MAX_FILE_BYTES:
        raise RequestTooLarge(
            f"the file {str(path)!r} has more than {MAX_FILE_BYTES >> 20} MiB: scale the picture down"
        )
    if len(data) == LENGTH_BYTES:
        raise InvalidImage(f"the file {str(path)!r} is empty (0 bytes)")
    data[:LENGTH_BYTES] = length_of(data[LENGTH_BYTES:])
    return data


def _whole(descriptor: int, size: int) -> memoryview:
    """Room for a length, then what the file holds, which is `size` bytes as a rule; no more than a file may have."""
    # Not a bytearray, which would be filled with zeros first.
    room, filled = np.empty(LENGTH_BYTES + min(size, MAX_FILE_BYTES) + 1, np.uint8), LENGTH_BYTES
    while came := os.readv(descriptor, [room[filled:].data]):
        filled += came
        if filled > LENGTH_BYTES + MAX_FILE_BYTES:
            break
        if filled == len(room):
            room = np.concatenate([room, np.empty_like(room)])
    return room[:filled].data


def _from_pillow(image: PilImage) -> Sent:
    try:
        width, height = image.size
        picture, orientation = to_rgb(image), orientation_of(image)
        full_size = None
        if width * height > _MAX_PIL_PIXELS:
            picture = picture.reduce(math.ceil(math.sqrt(width * height / _MAX_PIL_PIXELS)))
            full_size = (height, width) if orientation in TURNED else (width, height)
        pixels = np.asarray(picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture)
    except DAMAGE as error:
        # Pillow decodes an image only when it is used, so a broken file fails only here.
        raise InvalidImage(f"cannot decode the PIL image ({error}): give the path or the bytes of its file") from error
    return Sent(pixels, Channels.RGB, full_size)
