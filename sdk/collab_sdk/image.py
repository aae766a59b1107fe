"""Whatever an application has as an image, as the tensor that travels to the daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from collab_sdk.errors import InvalidImage, InvalidTensor, RequestTooLarge
from collab_sdk.wire import Tensor

__all__ = ["MAX_FILE_BYTES", "Image", "PilImage", "image_tensor"]

MAX_FILE_BYTES = 256 * 2**20


@runtime_checkable
class PilImage(Protocol):
    """A Pillow image, known by its shape so that Pillow need not be installed."""

    def convert(self, mode: str) -> Any:
        """The image in another mode."""


Image = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | PilImage


def image_tensor(image: Image) -> Tensor:
    """The input tensor "image" for a path, an encoded file's bytes, a Pillow image or an array.

    Files and bytes travel as they are: BYTES [1] (JPEG, PNG, WebP, BMP, GIF, PPM; the daemon applies EXIF orientation).
    Arrays must be uint8 [height, width, 3] in RGB and travel as UINT8 of that shape; so do Pillow images, converted to
    RGB and with no orientation applied.

    `InvalidImage`: no such file, an unreadable or empty one, or no image at all. `InvalidTensor`: an array of another
    dtype or shape. `RequestTooLarge`: a file over `MAX_FILE_BYTES`.
    """
    match image:
        case np.ndarray():
            return _from_array(image)
        case str() | os.PathLike():
            return _from_bytes(_read(Path(image)), f"the file {str(image)!r}")
        case bytes() | bytearray() | memoryview():
            return _from_bytes(bytes(image), "the image")
        case PilImage():
            return _from_array(_from_pillow(image))
    raise InvalidImage(
        f"a {type(image).__name__} is no image: give a path, an encoded file's bytes, a PIL image or a uint8 array "
        "of shape [height, width, 3]"
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidImage(f"cannot read the image {str(path)!r}: {getattr(error, 'strerror', error)}") from error
    if len(data) > MAX_FILE_BYTES:
        raise RequestTooLarge(f"the file {str(path)!r} is over {MAX_FILE_BYTES} bytes")
    return data


def _from_bytes(data: bytes, what: str) -> Tensor:
    if not data:
        raise InvalidImage(f"{what} is empty (0 bytes)")
    return Tensor.from_bytes_list("image", [data])


def _from_pillow(image: PilImage) -> NDArray[Any]:
    try:
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow opens lazily, so a broken file shows itself only here.
        raise InvalidImage(f"cannot decode the PIL image: {error}") from error


def _from_array(array: NDArray[Any]) -> Tensor:
    if array.dtype != np.uint8:
        hint = ": scale it to 0..255 and use .astype(np.uint8)" if array.dtype.kind == "f" else ""
        raise InvalidTensor(f"the image array has dtype {array.dtype}, expected uint8{hint}")
    if array.ndim != 3 or array.shape[2] != 3:
        raise InvalidTensor(f"the image array has shape {list(array.shape)}, expected [height, width, 3]{_hint(array)}")
    if array.size == 0:
        raise InvalidTensor(f"the image array has shape {list(array.shape)}: no pixels")
    return Tensor.from_array("image", array)


def _hint(array: NDArray[Any]) -> str:
    match array.shape:
        case (_, _):
            return ": for grey use np.repeat(image[..., None], 3, axis=2)"
        case (3, _, _):
            return ": for channels first use image.transpose(1, 2, 0)"
        case (_, _, 4):
            return ": for RGBA use image[..., :3]"
        case (_, _, _, _):
            return ": send one image a call"
    return ""
