"""Draws an answer over its picture. This module imports Pillow, which the rest of the SDK does not need."""

from __future__ import annotations

import colorsys
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from collab_sdk.answers import Classification, Detections, Rgb, Segmentation, is_background
from collab_sdk.channels import Channels, channels_of, check_pixels
from collab_sdk.errors import InvalidImage, MissingDependency
from collab_sdk.image import Image
from collab_sdk.pillow import DAMAGE, UPRIGHT, orientation_of, to_rgb

__all__ = ["colour_of", "draw"]

# Pixels of the shorter side. A smaller picture is enlarged by a whole number until it has as many, but not so far that
# its longer side has more than `_MOST_SIDE`: a picture of one row would take gigabytes.
_LEAST_SIDE = 240
_MOST_SIDE = 4096
# How much a class covers of the picture below it, 0..255.
_COVER = 140
# Hues that follow one another in steps of the golden ratio stay apart, however many there are.
_GOLDEN = (math.sqrt(5) - 1) / 2
# Saturation and value of every third colour, so that like hues differ in them.
_SHADES = ((0.85, 0.95), (0.55, 1.0), (0.95, 0.7))
# Of the legend, so much of the picture's height at most.
_LEGEND_SHARE = 0.5


def draw(
    answer: Classification | Detections | Segmentation,
    image: Image,
    channels: Channels | str,
    *,
    size: tuple[int, int] | None,
) -> Pillow.Image:
    """See `Result.draw`. ``size``: width and height of the picture that was asked about; None: any."""
    picture = _picture(image, channels)
    if size is not None and picture.size != size:
        raise InvalidImage(
            f"the image has {picture.width}x{picture.height} pixels, but the answer is about one of "
            f"{size[0]}x{size[1]}: give the image of the call"
        )
    times = max(min(math.ceil(_LEAST_SIDE / min(picture.size)), _MOST_SIDE // max(picture.size)), 1)
    if isinstance(answer, Segmentation):
        picture = _blended(picture, answer)
    if times > 1:
        picture = picture.resize((picture.width * times, picture.height * times), Pillow.Resampling.NEAREST)
    canvas = _Canvas.on(picture)
    if isinstance(answer, Classification):
        canvas.tag((0, 0), str(answer), colour_of(int(answer.scores.argmax()), None))
    elif isinstance(answer, Segmentation):
        _legend(canvas, answer)
    else:
        _boxes(canvas, answer, times)
    return picture


def colour_of(number: int, palette: Sequence[Rgb] | None) -> Rgb:
    """The colour of the class of this number: that of the palette, if it has one, else one that is always the same."""
    if palette is not None and number < len(palette):
        return palette[number]
    saturation, value = _SHADES[number % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, kw_only=True)
class _Canvas:
    """A picture with a pen and letters that fit its size."""

    pen: ImageDraw.ImageDraw
    font: Any
    line: int
    size: tuple[int, int]

    @classmethod
    def on(cls, picture: Pillow.Image) -> _Canvas:
        side = min(picture.size)
        try:
            font = ImageFont.load_default(max(13, round(side / 32)))
        except TypeError as error:
            raise MissingDependency("drawing needs Pillow 10.1 or newer: pip install --upgrade Pillow") from error
        return cls(pen=ImageDraw.Draw(picture), font=font, line=max(2, round(side / 220)), size=picture.size)

    def box(self, corners: Sequence[float], colour: Rgb) -> None:
        x1, y1, x2, y2 = (round(each) for each in corners)
        # The last pixel of a box is the one before its edge.
        self.pen.rectangle((x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)), outline=colour, width=self.line)

    def tag(self, at: tuple[float, float], text: str, colour: Rgb, *, above: bool = False) -> float:
        """Write on a ground of this colour, within the picture; the bottom of it. ``above``: with its bottom here."""
        pad = 2 * self.line
        left, _, right, _ = self.pen.textbbox((0, 0), text, font=self.font)
        # All tags of a picture have the height of the tallest letters.
        _, tall, _, low = self.pen.textbbox((0, 0), "Ég", font=self.font)
        width, height = right - left + 2 * pad, low - tall + pad
        x = min(max(at[0], 0), max(self.size[0] - width, 0))
        y = at[1] - height if above and at[1] >= height else at[1]
        y = min(max(y, 0), max(self.size[1] - height, 0))
        self.pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
        self.pen.text((x + pad - left, y + pad / 2 - tall), text, fill=_ink_on(colour), font=self.font)
        return y + height


def _boxes(canvas: _Canvas, found: Detections, times: int) -> None:
    # The surest come last, over the others; all names over all boxes.
    ordered = [*found][::-1]
    for each in ordered:
        canvas.box([edge * times for edge in each.xyxy], colour_of(each.class_id, found.palette))
    for each in ordered:
        x, y = each.xyxy[0] * times, each.xyxy[1] * times
        text = f"{each.class_name} {each.confidence:.2f}"
        canvas.tag((x, y), text, colour_of(each.class_id, found.palette), above=True)


def _blended(picture: Pillow.Image, answer: Segmentation) -> Pillow.Image:
    """The picture with the classes in colour over it, but for the background."""
    is_single = answer.mask.dtype == np.bool_
    colours, cover = np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8)
    for number, label in enumerate(answer.labels):
        value = number + 1 if is_single else number
        colours[value] = colour_of(number, answer.palette)
        cover[value] = 0 if is_background(label) else _COVER
    values = Pillow.fromarray(answer.mask.view(np.uint8))
    coloured = values.copy()
    coloured.putpalette(colours.tobytes())
    return Pillow.composite(coloured.convert("RGB"), picture, values.point(cover.tolist()))


def _legend(canvas: _Canvas, answer: Segmentation) -> None:
    """The names of the coloured classes in the corner, the largest first, as many as there is room for."""
    y = 0.0
    for number, share in answer.class_shares():
        label = answer.labels[number]
        if is_background(label) or y > canvas.size[1] * _LEGEND_SHARE:
            continue
        y = canvas.tag((0, y), f"{label} {share * 100:.0f} %", colour_of(number, answer.palette))


def _ink_on(colour: Rgb) -> Rgb:
    """Black or white, whichever is read more easily on this colour."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _picture(image: Image, channels: Channels | str) -> Pillow.Image:
    """The image as a new RGB picture, upright."""
    if isinstance(image, np.ndarray):
        return _of_array(image, channels_of(channels))
    try:
        if isinstance(image, str | os.PathLike):
            with Pillow.open(image) as opened:
                return _upright(opened)
        if isinstance(image, bytes | bytearray | memoryview):
            return _upright(Pillow.open(io.BytesIO(image)))
        return _upright(image)
    except (*DAMAGE, Pillow.DecompressionBombError) as error:
        raise InvalidImage(f"cannot read the image to draw on: {error}") from error


def _upright(image: Any) -> Pillow.Image:
    picture, orientation = to_rgb(image), orientation_of(image)
    upright: Pillow.Image = picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture.copy()
    return upright


def _of_array(pixels: NDArray[Any], channels: Channels) -> Pillow.Image:
    check_pixels(pixels.dtype, pixels.shape, channels)
    pixels = np.ascontiguousarray(pixels)
    match channels:
        case Channels.GREY:
            return Pillow.fromarray(pixels.reshape(pixels.shape[:2])).convert("RGB")
        case Channels.YUV420:
            return _of_planes(pixels)
        case Channels.BGR | Channels.BGRX:
            pixels = pixels[:, :, 2::-1]
        case _:
            pixels = pixels[:, :, :3]
    return Pillow.fromarray(np.array(pixels))


def _of_planes(pixels: NDArray[np.uint8]) -> Pillow.Image:
    height, width = pixels.shape[0] * 2 // 3, pixels.shape[1]
    flat = pixels.reshape(-1)
    luma, blue, red = np.split(flat, [width * height, width * height * 5 // 4])
    planes = [Pillow.fromarray(luma.reshape(height, width))]
    for chroma in (blue, red):
        half = Pillow.fromarray(chroma.reshape(height // 2, width // 2))
        planes.append(half.resize((width, height), Pillow.Resampling.NEAREST))
    return Pillow.merge("YCbCr", planes).convert("RGB")
