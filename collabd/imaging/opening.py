"""From an encoded image to pixels, whatever its format."""

from __future__ import annotations

from PIL.Image import Image
from PIL.ImageFile import ImageFile

from collab_sdk.errors import InvalidImage
from collab_sdk.pillow import orientation_of, to_rgb
from collabd.imaging.bounds import MAX_PIXELS, Metered, check_size, damage_is_the_senders
from collabd.imaging.formats import AVIF, JPEG, PPM, WEBP, Format, format_of
from collabd.imaging.jpeg import decode_jpeg, open_jpeg

# libwebp holds two copies in 32 bits, and Pillow takes two more. AVIF takes as much: 25 megapixels 262 MB with 8 bits
# a colour, and up to 12 are allowed.
_MAX_PIXELS_OF: dict[Format | None, int] = {WEBP: MAX_PIXELS // 2, AVIF: MAX_PIXELS // 2}
# Numbers as text, which Pillow reads in Python too.
_MAX_TEXT_BYTES = 4 * 2**20


def open_image(data: bytes) -> ImageFile:
    """The image in `data`, its header read and nothing decoded: JPEG, PNG, WebP, AVIF, BMP, GIF or PPM.

    Raises InvalidImage if it is none of these, damaged, or is empty, or too large to be decoded. A JPEG may have four
    times MAX_PIXELS: whether its decoder makes it small enough turns out when it is decoded.
    """
    # Not Image.open, which would load every decoder there is to find one for bytes that are no image at all.
    kind = format_of(data)
    return open_jpeg(data)[0] if kind == JPEG else _open(data, kind)


def decode(data: bytes, side: int) -> tuple[Image, int]:
    """The image as it is stored, as RGB, and EXIF's orientation of it. Raises InvalidImage.

    A JPEG is made smaller on the way, to no less than `side` a side.
    """
    kind = format_of(data)
    image = decode_jpeg(data, side) if kind == JPEG else _open(data, kind)
    with damage_is_the_senders(kind.name):
        return to_rgb(image), orientation_of(image)


def _open(data: bytes, kind: Format) -> ImageFile:
    if kind == PPM and data[1:2] in b"123" and len(data) > _MAX_TEXT_BYTES:
        raise InvalidImage(f"the image is {len(data)} bytes of numbers as text: send it as PNG or JPEG")
    with damage_is_the_senders(kind.name):
        image = kind.image(Metered(data))
    check_size(*image.size, InvalidImage, _MAX_PIXELS_OF.get(kind, MAX_PIXELS))
    return image
