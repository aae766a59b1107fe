"""JPEG that is not as the standard has it: what other decoders show is answered, unless too much is missing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collab_sdk.errors import InvalidImage
from collabd.catalog.package.manifest import Picture
from collabd.imaging import MAX_PIXELS, OpenImage, prepare
from tests.unit.imaging.conftest import Encode, photograph

SPEC = Picture(height=30, width=40)
WHOLE = Picture(height=120, width=160)

every_kind = pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"subsampling": 0}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"restart_marker_rows": 1}),
        ("RGB", {"restart_marker_blocks": 1}),
        ("L", {"progressive": True, "restart_marker_blocks": 3}),
    ],
    ids=["420", "444", "grey", "cmyk", "progressive", "restart a row", "restart a block", "progressive grey"],
)


def far(data: bytes, whole: bytes, spec: Picture = SPEC) -> int:
    """The largest difference between what a network sees of two images."""
    return int(np.abs(prepare(data, spec).astype(int) - prepare(whole, spec)).max())


@every_kind
def test_what_is_whole_but_for_its_end_is_answered_like_the_whole(
    jpeg: Encode, mode: str, options: dict[str, Any]
) -> None:
    whole = jpeg(mode, **options)
    trailer = b"dhav\x59\x19\xff\xe1\xff\xff\x01\x00" * 4
    for data in (
        whole[:-2],
        whole[:-1],
        whole + trailer,
        whole[:-2] + trailer,
        whole + whole,
        whole[:-2] + whole,
        whole[:2] + whole,
        whole[:2] * 3 + whole[2:-2],
    ):
        assert far(data, whole, WHOLE) == 0


@every_kind
def test_a_few_bytes_less_are_a_block_less(jpeg: Encode, mode: str, options: dict[str, Any]) -> None:
    whole = jpeg(mode, **options)
    for missing in (3, 4, 6):
        shown = prepare(whole[:-missing], WHOLE).astype(int) - prepare(whole, WHOLE)
        assert (shown != 0).any(axis=-1).mean() <= 1 / 32


@every_kind
@pytest.mark.parametrize("share", [0.5, 0.8, 0.93])
def test_what_lacks_a_part_is_refused(jpeg: Encode, mode: str, options: dict[str, Any], share: float) -> None:
    whole = jpeg(mode, **options)
    with pytest.raises(InvalidImage, match=r"incomplete: (\d+% of the image is missing|it ends before its last)"):
        prepare(whole[: int(len(whole) * share)], SPEC)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("size", [(240, 320), (1440, 1920)])
def test_how_much_is_missing_is_told(jpeg: Encode, share: float, size: tuple[int, int]) -> None:
    data = jpeg(size=size)
    begin = data.index(b"\xff\xda")
    cut = data[: begin + int((len(data) - begin) * (1 - share))]
    for ended in (cut, cut + b"\xff\xd9"):
        with pytest.raises(InvalidImage) as refused:
            prepare(ended, SPEC)
        said = int(str(refused.value).partition("%")[0].split()[-1])
        assert abs(said - share * 100) <= 8


@pytest.mark.parametrize("rows", [1, 2])
def test_what_ends_between_two_restarts_lacks_the_rest(jpeg: Encode, rows: int) -> None:
    data = jpeg(size=(48, 64), restart_marker_rows=1)  # three rows of blocks
    restart = data.index(bytes((0xFF, 0xD0 + rows - 1)), data.index(b"\xff\xda"))
    for end in (b"", b"\xff\xd9"):
        with pytest.raises(InvalidImage, match=f": {1 - rows / 3:.0%} of the image is missing"):
            prepare(data[:restart] + end, WHOLE)


def test_a_grey_corner_is_no_reason_to_refuse(jpeg: Encode) -> None:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    pixels[:60] = 200
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    assert far(out.getvalue(), out.getvalue()) == 0


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with other sides in its header."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((8_160, 6_144), {}),
        ((8_192, 6_144), {}),
        ((9_248, 6_936), {}),
        ((9_248, 6_936), {"progressive": True}),
        ((12_000, 9_000), {}),
        ((16_320, 12_240), {}),
    ],
)
def test_the_sizes_of_phones_are_opened(jpeg: Encode, size: tuple[int, int], options: dict[str, Any]) -> None:
    assert OpenImage(claiming(jpeg(**options), *size)).size == size


def test_a_photograph_of_fifty_megapixels_looks_like_itself() -> None:
    shapes = Image.fromarray(photograph(30, 40))
    large = shapes.resize((8_192, 6_144), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    large.save(out, "JPEG", quality=85)
    decoded_whole = np.asarray(large.resize((40, 30), Image.Resampling.BILINEAR, reducing_gap=2))
    assert np.abs(prepare(out.getvalue(), SPEC)[0].astype(int) - decoded_whole).mean() < 2


@pytest.mark.parametrize(
    ("size", "options", "reason"),
    [
        ((16_400, 12_240), {}, "scale it to at most 200,000,000 pixels"),
        ((65_000, 800), {}, f"65000x800 pixels: scale it to at most {MAX_PIXELS:,} pixels"),
        ((9_248, 6_936), {"progressive": True, "subsampling": 0}, "progressive and has 9248x6936"),
        ((12_000, 9_000), {"progressive": True}, "has 10 scans"),
    ],
    ids=["too large", "too thin to shrink", "too many coefficients", "too many scans"],
)
def test_what_would_take_too_much_is_refused(
    jpeg: Encode, size: tuple[int, int], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidImage, match=reason):
        prepare(claiming(jpeg(**options), *size), Picture(height=224, width=224))


def test_a_thumbnail_and_a_second_picture_are_not_counted_as_scans(jpeg: Encode) -> None:
    thumbnail = jpeg(size=(16, 16))
    segment = b"\xff\xe5" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = jpeg()
    data = whole[:2] + segment * 1_001 + whole[2:] + thumbnail * 1_001
    assert far(data, whole) == 0


def test_segments_without_end_are_refused(jpeg: Encode) -> None:
    whole = jpeg(progressive=True)
    second = whole.index(b"\xff\xc4", whole.index(b"\xff\xda"))
    with pytest.raises(InvalidImage, match="200,000 segments"):
        prepare(whole[:second] + b"\xff\xfe\0\2" * 200_001 + whole[second:], SPEC)
