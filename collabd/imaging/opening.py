"""From an encoded image, of any format that is read, to pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

from PIL.Image import Image

from collab_sdk.errors import InvalidImage
from collab_sdk.pillow import orientation_of, to_rgb
from collabd.imaging.bounds import MAX_PIXELS, Metered, check_size, damage_is_the_senders
from collabd.imaging.formats import AVIF, JPEG, PPM, WEBP, FileFormat, format_of
from collabd.imaging.jpeg import Survey, decode_jpeg, open_jpeg

# libwebp holds two copies with 32 bits a pixel, and Pillow makes two more. AVIF takes as much: 25 megapixels take
# 262 MB at 8 bits a colour, and it may have up to 12.
_MAX_PIXELS_OF: dict[FileFormat | None, int] = {WEBP: MAX_PIXELS // 2, AVIF: MAX_PIXELS // 2}
# For numbers written as text, which Pillow reads in Python.
_MAX_TEXT_BYTES = 4 * 2**20


class OpenImage:
    """An image file whose header was read: JPEG, PNG, WebP, AVIF, BMP, GIF or PPM. `size`: width and height, pixels.

    Raises InvalidImage if it is none of these, damaged, empty, or too large to be decoded. A JPEG may have four times
    MAX_PIXELS; whether its decoder makes it small enough shows when it is decoded.
    """

    def __init__(self, data: bytes) -> None:
        # `Image.open` would load every decoder there is, to find one for bytes that may be no image at all.
        self._kind = format_of(data)
        self._data = data
        # None once it is decoded, which Pillow does once.
        self._header: _Header | None = self._opened()
        self.size: tuple[int, int] = self._header.image.size

    def decoded(self, side: int) -> tuple[Image, int]:
        """The image as RGB, as it is stored, and its orientation by EXIF. Raises InvalidImage.

        A JPEG is made smaller in decoding, to no less than `side` a side. One thread at a time.
        """
        header, self._header = self._header or self._opened(), None
        image, survey = header
        if survey is not None:
            image = decode_jpeg(self._data, side, image=image, survey=survey)
        with damage_is_the_senders(self._kind.name):
            return to_rgb(image), orientation_of(image)

    def _opened(self) -> _Header:
        data, kind = self._data, self._kind
        if kind == JPEG:
            return _Header(*open_jpeg(data))
        if kind == PPM and data[1:2] in b"123" and len(data) > _MAX_TEXT_BYTES:
            raise InvalidImage(f"the image is {len(data)} bytes of numbers as text: send it as PNG or JPEG")
        with damage_is_the_senders(kind.name):
            image = kind.image(Metered(data))
        check_size(image.size, InvalidImage, _MAX_PIXELS_OF.get(kind, MAX_PIXELS))
        return _Header(image)


class _Header(NamedTuple):
    """An image whose header was read. `survey`: of a JPEG."""

    image: Any
    survey: Survey | None = None
