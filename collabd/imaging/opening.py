"""From an encoded image, of any format that is read, to pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

from PIL.Image import Image

from collab_sdk.errors import InvalidImage
from collab_sdk.pillow import orientation_of, to_rgb
from collabd.imaging.bounds import MAX_PIXELS, Metered, check_size, damage_is_the_senders
from collabd.imaging.formats import AVIF, JPEG, PNG, PPM, WEBP, FileFormat, format_of
from collabd.imaging.jpeg import Survey, decode_jpeg, open_jpeg

# libwebp holds two copies with 32 bits a pixel, and Pillow makes two more. AVIF takes as much: 25 megapixels take
# 262 MB at 8 bits a colour, and it may have up to 12.
_MAX_PIXELS_OF: dict[FileFormat | None, int] = {WEBP: MAX_PIXELS // 2, AVIF: MAX_PIXELS // 2}
# For numbers written as text, which Pillow reads in Python.
_MAX_TEXT_BYTES = 4 * 2**20
# The chunks of a PNG that may hold EXIF data, or XMP.
_MAY_SAY_ORIENTATION = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


class OpenImage:
    """An image file whose header was read: JPEG, PNG, WebP, AVIF, BMP, GIF or PPM.

    `size`: width and height in pixels, as it is stored; `upright_size`: as it is shown.

    Raises InvalidImage if it is none of these, damaged, empty, or too large to be decoded. A JPEG may have four times
    MAX_PIXELS; whether its decoder makes it small enough shows when it is decoded.
    """

    def __init__(self, data: bytes) -> None:
        # `Image.open` would load every decoder there is, to find one for bytes that may be no image at all.
        self._kind = format_of(data)
        self._data = data
        header = self._opened()
        # Empty once it is taken: Pillow decodes it once, and no two threads may use one.
        self._headers = [header]
        self._orientation: int | None = None
        self.size: tuple[int, int] = header.image.size

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as the picture is shown, once it is turned as its EXIF data say."""
        if self._orientation is None:
            self._orientation = self._stated_orientation()
        return self.size if self._orientation < 5 else self.size[::-1]

    def decoded(self, side: int) -> tuple[Image, int]:
        """The image as RGB, as it is stored, and its orientation by EXIF. Raises InvalidImage.

        A JPEG is made smaller in decoding, to no less than `side` a side. One thread at a time.
        """
        image, survey = self._taken()
        if survey is not None:
            image = decode_jpeg(self._data, side, image=image, survey=survey)
        with damage_is_the_senders(self._kind.name):
            rgb, self._orientation = to_rgb(image), orientation_of(image)
        return rgb, self._orientation

    def _stated_orientation(self) -> int:
        # Pillow would decode a PNG to see whether anything of it comes behind the pixels.
        if self._kind == PNG and not any(chunk in self._data for chunk in _MAY_SAY_ORIENTATION):
            return 1
        header = self._taken()
        orientation = orientation_of(header.image)
        self._headers.append(header)
        return orientation

    def _taken(self) -> _Header:
        try:
            return self._headers.pop()
        except IndexError:
            return self._opened()

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
