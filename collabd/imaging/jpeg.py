"""JPEG as cameras write it: larger than what is decoded, cut off, or with data behind its end.

Decoders silently put grey where data are missing. Here the missing part is measured first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PIL import ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from collab_sdk.errors import InvalidImage
from collabd.imaging.bounds import MAX_PIXELS, Metered, check_size, damage_is_the_senders

# Baseline JPEG takes only the memory of what is decoded, whatever its size: 200 megapixels take 13 MB and 0.4 s at an
# eighth of the size, 49 MB at a quarter (one core of x86-64). The phones with the most have 200 megapixels.
_MAX_NOMINAL_PIXELS = 4 * MAX_PIXELS
# With several scans, as in progressive JPEG, all coefficients are held, at 2 bytes each. 64 megapixels with halved
# colours take 187 MB and 0.6 s, 50 megapixels with full colours 291 MB and 0.9 s. That much is allowed.
_MAX_COEFFICIENTS = 3 * MAX_PIXELS
# Each scan of a progressive JPEG goes over all pixels, yet may have few bytes. Ten scans are usual.
_MAX_SCANS = 1_000
_MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
# Segments between markers have at least 4 bytes.
_MAX_SEGMENTS = 200_000
# A picture is still answered if no more than this share is missing: two blocks of 16x16 in a picture of 160x120.
_MOST_MISSING = 1 / 32

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_END_OF_IMAGE = bytes((0xFF, _END))
# Not the markers within a scan: stuffed bytes, restarts, and padding.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_ALL = (1 << 64) - 1
# Put in place of missing data, to see where those would appear: bytes of a scan, and restarts wherever one is expected.
_ANYTHING = b"".join(bytes((*range(3, 250, 7), 0xFF, 0xD0 + restart)) for restart in range(8)) * 4
_GREY = (128, (128, 128, 128))


@dataclass(kw_only=True)
class Survey:
    """What the markers of a JPEG say: where its data end, and which scans it has.

    `starts`: where superfluous start markers are. `closed`: whether an end marker is at `end`. `buffered`: whether the
    decoder must hold all coefficients, since several scans contribute to them.
    """

    end: int
    closed: bool = False
    starts: list[int] = field(default_factory=list)
    scans: int = 0
    buffered: bool = False
    _full: dict[int, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether decoders can read it as it is."""
        return self.closed and not self.starts

    def note_scan(self, header: bytes, image: JpegImageFile) -> None:
        """Count a scan, whose `header` gives its components, coefficients and precision."""
        components, (first, last, precision) = header[1:-3:2], header[-3:]
        progressive = "progressive" in image.info
        self.scans += 1
        self.buffered |= progressive or len(components) < image.layers
        if not progressive or precision & 15 == 0:
            coefficients = (2 << last) - (1 << first) if progressive else _ALL
            self._full |= {each: self._full.get(each, 0) | coefficients for each in components}

    def has_all_scans(self, image: JpegImageFile) -> bool:
        """Whether every coefficient of every component has had its last scan."""
        return {self._full.get(component, 0) for component, *_ in image.layer} == {_ALL}


def open_jpeg(data: bytes) -> tuple[JpegImageFile, Survey]:
    """The image with its header read, and what its markers say. Raises InvalidImage."""
    with damage_is_the_senders("JPEG"):
        image = JpegImageFile(Metered(data))
        if len(image.layer) != image.layers:
            raise ValueError("it does not have as many components as it states")
        survey = _survey(data, image)
    check_size(image.size, InvalidImage, _MAX_NOMINAL_PIXELS)
    _check_scans(image, survey)
    return image, survey


def decode_jpeg(data: bytes, side: int, *, image: JpegImageFile, survey: Survey) -> JpegImageFile:
    """What `open_jpeg` opened, made smaller in decoding, to no less than `side` a side. Raises InvalidImage."""
    if not survey.closed and not survey.has_all_scans(image):
        raise InvalidImage("the JPEG image is incomplete: it ends before its last pass over the image; send it again")
    with damage_is_the_senders("JPEG"):
        picture = _load(image if survey.sound else JpegImageFile(Metered(_completed(data, survey))), side)
        # Decoders leave grey what is missing, and the last corner is missing first.
        corner = picture.getpixel((picture.width - 1, picture.height - 1))
        missing = _missing(data, survey, picture=picture, side=side) if not survey.closed or corner in _GREY else 0.0
    if missing > _MOST_MISSING:
        raise InvalidImage(f"the JPEG image is incomplete: {missing:.0%} of the image is missing; send it again")
    return picture


def _survey(data: bytes, image: JpegImageFile) -> Survey:
    survey, at = Survey(end=len(data)), 2
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(data, at)
        if marker is None:
            return survey
        kind, at = marker[1][0], marker.end()
        if kind == _START and not survey.scans:
            survey.starts.append(marker.start())
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if kind in {_START, _END} or survey.has_all_scans(image) or at + length > len(data):
            survey.end, survey.closed = marker.start(), kind == _END
            return survey
        if kind == _SCAN:
            survey.note_scan(data[at + 2 : at + length], image)
        at += length
    raise InvalidImage(f"the JPEG image has more than {_MAX_SEGMENTS:,} segments: save it again")


def _check_scans(image: JpegImageFile, survey: Survey) -> None:
    pixels = image.width * image.height
    if survey.scans > _MAX_SCANS or survey.scans * pixels > _MAX_SCANNED_PIXELS:
        raise InvalidImage(f"the JPEG image has {survey.scans} scans: save it again, not progressive")
    sampling = [across * down for _, across, down, _ in image.layer]
    if survey.buffered and pixels * sum(sampling) > _MAX_COEFFICIENTS * max(sampling):
        raise InvalidImage(
            f"the JPEG image is progressive and has {image.width}x{image.height} pixels: "
            "save it not progressive, or smaller"
        )


def _completed(data: bytes, survey: Survey, filling: bytes = b"") -> bytes:
    """The image without what decoders fail at, with `filling` and an end marker behind its data."""
    begins = (0, *(start + len(_END_OF_IMAGE) for start in survey.starts))
    *pieces, last = (data[begin:end] for begin, end in zip(begins, (*survey.starts, survey.end), strict=True))
    # The first byte of a marker that is cut off.
    return b"".join((*pieces, last.rstrip(b"\xff"), filling, _END_OF_IMAGE))


def _load(image: JpegImageFile, side: int) -> JpegImageFile:
    image.draft(None, (side, side))
    check_size(image.size, InvalidImage)
    image.load()
    return image


def _missing(data: bytes, survey: Survey, *, picture: JpegImageFile, side: int) -> float:
    """The share of the picture that the data do not reach. It begins where other data behind them show."""
    other = _load(JpegImageFile(Metered(_completed(data, survey, _ANYTHING))), side)
    difference = ImageChops.difference(picture, other)
    box = difference.getbbox()
    if box is None:
        return 0.0
    width, height = picture.size
    block = 8 * max(down for _, _, down, _ in picture.layer) // picture.decoderconfig[0]
    # Where colours are halved, the row above changes a little as well.
    top = (box[1] + 1) // block * block
    band = difference.crop((0, top, width, min(top + block, height)))
    left = (band.getbbox() or (0,))[0]
    return float((height - top) * width - left * band.height) / (width * height)
