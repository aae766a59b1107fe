"""From whatever the caller has to the network's input: uint8 [1, height, width, 3].

One rule for both daemons, so that a network sees the same pixels whichever of them prepared the image. Images come from
strangers: size and kind are read from the header before anything is decoded, and what is decoded is bounded, in memory
(four times MAX_PIXELS and three copies at worst) and in work (seconds).
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from collab_sdk.errors import InvalidImage, InvalidRequest, InvalidTensor
from collabd.catalog.manifest import Preprocessing

MAX_PIXELS = 50_000_000
# JPEG's and GIF's own. Pillow keeps a pointer a row, which for a million rows of one pixel outweighs the pixels.
MAX_SIDE = 65_535

# libwebp holds two copies in 32 bits, and Pillow takes two more.
_MAX_WEBP_PIXELS = MAX_PIXELS // 2
# Pillow reads headers, and rare formats whole, in Python: some microseconds a read. 64 MB of PNG in chunks of 8 kB, as
# libpng writes them, take 33,000.
_MAX_READS = 200_000
# Numbers as text, which Pillow reads in Python too.
_MAX_TEXT_BYTES = 4 * 2**20
# Each scan of a progressive JPEG goes over all pixels, and takes a few bytes. Ten are usual.
_MAX_SCANS = 1_000
_MAX_SCANNED_PIXELS = 20 * MAX_PIXELS

# A large image is first shrunk by whole numbers, in the JPEG decoder or by averaging, to no less than twice its target:
# several times faster on photographs, and it bounds the memory of resizing one that is 1 pixel wide and a million high.
_GAP = 2

_KINDS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    **{b"P%d" % i: PpmImageFile for i in range(1, 7)},
}
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow warns of is the sender's doing, and our journal is not the place to tell them.
warnings.filterwarnings("ignore", module=r"PIL\.")


def prepare(image: bytes | NDArray[Any], spec: Preprocessing) -> NDArray[np.uint8]:
    """The network's input, uint8 [1, spec.height, spec.width, 3], C order.

    `image` is an encoded image (the first frame of an animation; turned upright as its EXIF says, transparency
    dropped) or an RGB array, uint8 [height, width, 3]. Raises InvalidImage, InvalidTensor. Thread-safe.
    """
    picture, orientation = _from_array(image) if isinstance(image, np.ndarray) else _decode(image, spec)
    turn = _UPRIGHT.get(orientation)
    size = (spec.width, spec.height) if orientation < 5 else (spec.height, spec.width)
    fitted = picture.resize(size, _RESAMPLING[spec.interpolation], _box(picture.size, size, spec.resize_shorter), _GAP)
    # Turned last, when it is small.
    return np.array(fitted if turn is None else fitted.transpose(turn))[np.newaxis]


def open_image(data: bytes) -> ImageFile:
    """The image in `data`, its header read and nothing decoded: JPEG, PNG, WebP, BMP, GIF or PPM.

    Raises InvalidImage if it is none of these, damaged, or is empty, or exceeds MAX_PIXELS or MAX_SIDE.
    """
    # Not Image.open, which would load every decoder there is to find one for bytes that are no image at all.
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), None)
    if kind is None:
        raise InvalidImage("not an image: send JPEG, PNG, WebP, BMP, GIF or PPM")
    if kind is PpmImageFile and data[1:2] in b"123" and len(data) > _MAX_TEXT_BYTES:
        raise InvalidImage(f"numbers as text, of {len(data)} bytes: send the image as PNG or JPEG")
    with _damage_is_the_senders():
        image = kind(_Metered(data))
    _check_size(*image.size, InvalidImage)
    _check_effort(image, data)
    return image


class _Metered(io.BytesIO):
    """A file that can be read so often and no more: a million empty chunks are few bytes and much work."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > _MAX_READS:
            raise InvalidImage("an image in too many pieces to be one: save it again, as PNG or JPEG")
        return super().read(size)


def _check_effort(image: ImageFile, data: bytes) -> None:
    pixels = image.width * image.height
    if isinstance(image, WebPImageFile) and pixels > _MAX_WEBP_PIXELS:
        raise InvalidImage(f"a WebP of {image.width}x{image.height}: scale it to at most {_MAX_WEBP_PIXELS:,} pixels")
    if isinstance(image, JpegImageFile):
        # What a scan holds has no such pair of bytes; thumbnails have one each.
        scans = data.count(b"\xff\xda")
        if scans > _MAX_SCANS or scans * pixels > _MAX_SCANNED_PIXELS:
            raise InvalidImage(f"a JPEG in {scans} scans: save it again, not progressive")


def _check_size(width: int, height: int, error: type[InvalidRequest]) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise error(
            f"an image of {width}x{height}: scale it to at most {MAX_PIXELS:,} pixels and {MAX_SIDE:,} a side; "
            "the network needs far fewer"
        )


def _from_array(array: NDArray[Any]) -> tuple[Image.Image, int]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InvalidTensor(
            f"an image array must be RGB, uint8 [height, width, 3], not {array.dtype} {list(array.shape)}"
        )
    _check_size(array.shape[1], array.shape[0], InvalidTensor)
    return Image.fromarray(array), 1


def _decode(data: bytes, spec: Preprocessing) -> tuple[Image.Image, int]:
    image = open_image(data)
    if isinstance(image, JpegImageFile):
        side = _GAP * max(spec.height, spec.width, spec.resize_shorter or 0)
        image.draft(None, (side, side))
    with _damage_is_the_senders():
        image.load()
        return _to_rgb(image), _orientation(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which convert would clip, not scale
        image = Image.fromarray((np.asarray(image).astype(np.int32) >> 8).clip(0, 255).astype(np.uint8))
    image.info.pop("transparency", None)  # Pillow would rather keep it, and says so
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8; damaged EXIF is none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _DAMAGE:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _box(
    source: tuple[int, int], target: tuple[int, int], resize_shorter: int | None
) -> tuple[float, float, float, float] | None:
    """The part of the source to resize to the target such that it equals resizing all of it and cropping the centre."""
    if resize_shorter is None:
        return None
    resized = [resize_shorter * side // min(source) for side in source]
    left, top = (round((whole - part) / 2) for whole, part in zip(resized, target, strict=True))
    x, y = source[0] / resized[0], source[1] / resized[1]
    return left * x, top * y, (left + target[0]) * x, (top + target[1]) * y


_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, MemoryError, struct.error, zlib.error)


@contextmanager
def _damage_is_the_senders() -> Iterator[None]:
    """Pillow's decoders raise all of these for bytes that they cannot read."""
    try:
        yield
    except Image.DecompressionBombError:
        raise InvalidImage(f"an image far above {MAX_PIXELS:,} pixels: scale it down") from None
    except _DAMAGE as error:
        raise InvalidImage(f"the image is damaged, incomplete or empty ({error}): send it again") from None
