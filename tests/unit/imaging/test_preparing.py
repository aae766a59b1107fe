"""Every image that people send, and every one that they should not."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from collab_sdk.errors import InvalidImage, InvalidTensor
from collabd.catalog.package.manifest import Picture
from collabd.imaging import MAX_PIXELS, MAX_SIDE, OpenImage, prepare
from collabd.imaging.formats import AVIF
from tests.patience import PROGRAM_S, joined
from tests.unit.imaging.conftest import photograph

SMALL = Picture(height=24, width=32)
CROPPED = Picture(height=24, width=24, rule="crop", resize_shorter=28, interpolation="bicubic")
LOSSLESS = ("PNG", "WEBP", "BMP", "PPM")
needs_avif = pytest.mark.skipif(AVIF is None, reason="Pillow was built without AVIF")


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """Each corner has its own colour, and no two rows or columns are alike."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (np.stack((x, y, (1 - x) * (1 - y)), axis=-1) * 255).astype(np.uint8)


def encoded(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, kind, **({"lossless": True} if kind == "WEBP" else {}), **options)
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    framed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def jpeg_claiming(width: int, height: int) -> bytes:
    jpeg = encoded(scene(8, 8), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def webp_claiming(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + sides + encoded(scene(8, 8), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_claiming(width: int, height: int) -> bytes:
    avif = encoded(scene(8, 8), "AVIF")
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">II", width, height) + avif[at + 8 :]


def gif_claiming(width: int, height: int, *, frame: tuple[int, int] = (0, 0)) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0;"


def bmp_claiming(width: int, height: int) -> bytes:
    bmp = encoded(scene(8, 8), "BMP")
    return bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("spec", [SMALL, CROPPED], ids=["straight", "cropped"])
def test_a_lossless_file_gives_what_its_pixels_give(kind: str, spec: Picture) -> None:
    pixels = scene(50, 70)
    prepared = prepare(encoded(pixels, kind), spec)
    assert prepared.dtype == np.uint8
    assert prepared.shape == (1, spec.height, spec.width, 3)
    assert prepared.flags.c_contiguous
    np.testing.assert_array_equal(prepared, prepare(pixels, spec))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_open_image_serves_any_number_of_networks(kind: str) -> None:
    data = encoded(photograph(600, 800), kind)
    opened = OpenImage(data)
    for spec in (SMALL, CROPPED, SMALL):
        np.testing.assert_array_equal(prepare(opened, spec), prepare(data, spec))


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_a_lossy_file_gives_nearly_that(kind: str) -> None:
    pixels = scene(50, 70)
    assert np.abs(prepare(encoded(pixels, kind), SMALL).astype(int) - prepare(pixels, SMALL)).mean() < 12


def test_an_image_of_the_right_size_is_not_touched() -> None:
    pixels = scene(24, 32)
    np.testing.assert_array_equal(prepare(pixels, SMALL)[0], pixels)


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (28, 28), (29, 300), (24, 24)])
def test_cropping_equals_resizing_the_shorter_side_and_cutting_the_centre(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    height, width = (28 * side // min(size) for side in size)
    whole = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
    left, top = round((width - 24) / 2), round((height - 24) / 2)
    expected = np.asarray(whole.crop((left, top, left + 24, top + 24))).astype(int)
    assert np.abs(prepare(pixels, CROPPED)[0] - expected).max() <= 2  # rounding


def test_a_large_jpeg_is_shrunk_while_it_is_decoded_and_looks_the_same() -> None:
    pixels = scene(900, 1200)
    data = encoded(pixels, "JPEG", quality=95)
    assert np.abs(prepare(data, SMALL).astype(int) - prepare(pixels, SMALL)).max() <= 6
    np.testing.assert_array_equal(prepare(data, SMALL), prepare(data, SMALL))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("spec", [SMALL, CROPPED], ids=["straight", "cropped"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", pytest.param("AVIF", marks=needs_avif)])
def test_exif_orientation_is_honoured(orientation: int, spec: Picture, kind: str) -> None:
    upright = Image.fromarray(scene(56, 84))
    # What a camera held the other way stores: the inverse of the turn that shows it upright.
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    prepared = prepare(encoded(stored, kind, exif=exif), spec).astype(int)
    assert np.abs(prepared - prepare(encoded(upright, kind), spec)).mean() < 2


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"", b"Exif\0\0II*\0\b\0\0\0\xff\xff"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_is_no_reason_to_refuse_an_image(exif: bytes) -> None:
    data = encoded(scene(24, 32), "JPEG", exif=exif)
    np.testing.assert_array_equal(prepare(data, SMALL), prepare(encoded(scene(24, 32), "JPEG"), SMALL))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_every_mode_of_png_becomes_rgb(mode: str) -> None:
    picture = Image.fromarray(scene(24, 32)).convert(mode)
    np.testing.assert_array_equal(prepare(encoded(picture, "PNG"), SMALL)[0], np.asarray(picture.convert("RGB")))


def test_transparency_is_dropped_silently() -> None:
    picture = Image.fromarray(scene(24, 32)).convert("P")
    data = encoded(picture, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(prepare(data, SMALL)[0], np.asarray(picture.convert("RGB")))


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32)
    for kind in ("PNG", "PPM"):
        prepared = prepare(encoded(ramp, kind), SMALL)[0]
        np.testing.assert_array_equal(prepared, np.repeat((ramp >> 8)[..., np.newaxis], 3, axis=-1))


def test_a_cmyk_jpeg_has_its_colours() -> None:
    picture = Image.fromarray(scene(24, 32)).convert("CMYK")
    prepared = prepare(encoded(picture, "JPEG", quality=95), SMALL)[0].astype(int)
    assert np.abs(prepared - np.asarray(picture.convert("RGB"))).mean() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", pytest.param("AVIF", marks=needs_avif)])
def test_an_animation_shows_its_first_frame(kind: str) -> None:
    red, blue = (Image.new("RGB", (32, 24), colour) for colour in ("red", "blue"))
    prepared = prepare(encoded(red, kind, save_all=True, append_images=[blue]), SMALL)[0].astype(int)
    assert np.abs(prepared - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("text", [b"", b"hello", b"<svg/>", b"%PDF-1.4", b"II*\0\b\0\0\0", b"P7\n", b"GIF87", b"RIFF"])
def test_what_is_no_image_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidImage):
        OpenImage(text)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", *LOSSLESS])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_image_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, kind)
    with pytest.raises(InvalidImage, match=r"incomplete|not an image"):
        prepare(data[: int(len(data) * share)], SMALL)


@pytest.mark.parametrize("claim", [png_claiming, jpeg_claiming, gif_claiming, bmp_claiming])
def test_an_empty_image_is_refused(claim: Any) -> None:
    with pytest.raises(InvalidImage):
        OpenImage(claim(0, 0))


@pytest.mark.parametrize(
    "data",
    [
        png_claiming(30_000, 30_000),
        jpeg_claiming(30_000, 30_000),
        webp_claiming(30_000, 30_000),
        webp_claiming(12_000, 12_000),
        gif_claiming(30_000, 30_000),
        gif_claiming(1, 1, frame=(10_000, 10_000)),
        bmp_claiming(30_000, 30_000),
        png_claiming(10_000, 10_000),
        png_claiming(1, MAX_SIDE + 1),
        b"P6 30000 30000 255\n",
    ],
    ids=["png", "jpeg", "webp", "webp canvas", "gif", "gif frame", "bmp", "png of 100 million", "png column", "ppm"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_image_is_refused_by_its_header(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(InvalidImage):
        prepare(data, SMALL)
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_a_refusal_says_how_large_and_what_to_do() -> None:
    with pytest.raises(InvalidImage, match="10000x10000 pixels: scale it to at most 50,000,000 pixels"):
        OpenImage(png_claiming(10_000, 10_000))
    assert OpenImage(png_claiming(MAX_PIXELS // 10_000, 10_000)).size == (5_000, 10_000)


@needs_avif
@pytest.mark.parametrize("side", [6_000, 16_000, 30_000])
def test_a_huge_avif_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(InvalidImage, match=f"{side}x{side}|damaged"):
        OpenImage(avif_claiming(side, side))


@needs_avif
def test_an_avif_gives_nearly_its_pixels() -> None:
    pixels = scene(50, 70)
    assert np.abs(prepare(encoded(pixels, "AVIF", quality=95), SMALL).astype(int) - prepare(pixels, SMALL)).mean() < 4


@pytest.mark.parametrize("size", [(1, MAX_SIDE), (MAX_SIDE, 1), (1, 1)])
@pytest.mark.parametrize("spec", [SMALL, CROPPED], ids=["straight", "cropped"])
def test_the_thinnest_images_work(size: tuple[int, int], spec: Picture) -> None:
    assert prepare(np.zeros((*size, 3), np.uint8), spec).shape == (1, spec.height, spec.width, 3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((24, 32, 3), np.float32),
        np.zeros((24, 32), np.uint8),
        np.zeros((3, 24, 32), np.uint8),
        np.zeros((24, 32, 4), np.uint8),
        np.zeros((2, 24, 32, 3), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (30_000, 30_000, 3)),
        np.broadcast_to(np.uint8(0), (1, MAX_SIDE + 1, 3)),
    ],
    ids=["float", "grey", "channels first", "rgba", "batch", "empty", "huge", "long"],
)
def test_an_array_of_the_wrong_kind_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(InvalidTensor, match=r"expected|no pixels|scale it"):
        prepare(array, SMALL)


def test_an_array_need_not_be_contiguous() -> None:
    mirrored = scene(24, 32)[:, ::-1]
    np.testing.assert_array_equal(prepare(mirrored, SMALL)[0], mirrored)


@given(data=st.data(), kind=st.sampled_from(["JPEG", "GIF", *LOSSLESS, *(["AVIF"] if AVIF else [])]))
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damage_is_refused_or_decoded_but_nothing_else(data: st.DataObject, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    original = encoded(scene(12, 16), kind, **({"exif": exif} if kind in {"JPEG", "PNG", "WEBP"} else {}))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    try:
        prepared = prepare(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), SMALL)
    except InvalidImage:
        return
    assert prepared.shape == (1, 24, 32, 3)


def test_threads_agree() -> None:
    data = encoded(scene(300, 400), "JPEG")
    results: list[NDArray[np.uint8]] = []
    threads = [threading.Thread(target=lambda: results.append(prepare(data, CROPPED))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        joined(thread)
    assert len(results) == 8
    assert all((result == results[0]).all() for result in results)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """A sound PNG with more chunks before its pixels."""
    png = encoded(scene(8, 8), "PNG")
    return png[:33] + b"".join(chunks) + png[33:]


def jpeg_with(segments: bytes) -> bytes:
    jpeg = encoded(scene(8, 8), "JPEG")
    return jpeg[:2] + segments + jpeg[2:]


def gif_with(blocks: bytes) -> bytes:
    gif = gif_claiming(8, 8, frame=(1, 1))
    at = gif.index(b",", 13)
    return gif[:at] + blocks + gif[at:]


def in_scans(count: int, side: int) -> bytes:
    """A progressive JPEG whose first scan comes again and again."""
    jpeg = encoded(np.zeros((side, side, 3), np.uint8), "JPEG", progressive=True)
    first = jpeg.index(b"\xff\xda")
    second = jpeg.index(b"\xff\xc4", first)
    return jpeg[:first] + jpeg[first:second] * count + jpeg[second:]


def bmp_in_runs(runs: bytes) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 5000, 5000, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024) + head + bytes(1024) + runs


ZEROS = zlib.compress(bytes(100_000_000), 9)
PIECES = "too many pieces"
DAMAGED = "damaged"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png_with(chunk(b"zTXt", b"k\0\0" + ZEROS)), DAMAGED),
        (png_with(chunk(b"iTXt", b"k\0\1\0\0\0" + ZEROS)), DAMAGED),
        (png_with(chunk(b"iCCP", b"k\0\0" + ZEROS)), DAMAGED),
        (png_with(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000)))] * 200), DAMAGED),
        (png_with(chunk(b"prVt") * 100_000), PIECES),
        (png_with(chunk(b"IDAT") * 100_000), PIECES),
        (jpeg_with(b"\xff\xe1\0\4ab" * 200_000), PIECES),
        (jpeg_with(b"\xff" * 300_000), PIECES),
        (gif_with(b"!\xfe\1a\0" * 200_000), PIECES),
        (b"P6 " + b"#a\n" * 100_000 + b"1 1 255\n000", PIECES),
        (b"P5 1000 1000 7\n" + bytes(1_000_000), PIECES),
        (bmp_in_runs(b"\1\0" * 200_000), PIECES),
        (b"P3 3000 3000 255\n" + b"0 " * 3_000_000, "numbers as text"),
        (in_scans(1_001, 8), "1010 scans"),
        (in_scans(90, 3200), "99 scans"),
        (webp_claiming(6_000, 6_000), r"6000x6000|damaged"),
    ],
    ids=[
        "png ztxt", "png itxt", "png iccp", "png texts", "png chunks", "png data chunks", "jpeg segments",
        "jpeg fill bytes", "gif comments", "ppm comments", "pgm of 3 bits", "bmp runs", "ppm text", "jpeg scans",
        "jpeg scans of many pixels", "webp",
    ],
)  # fmt: skip
def test_little_that_makes_much_work_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidImage, match=reason):
        prepare(data, SMALL)


def test_a_progressive_photograph_is_none_of_these() -> None:
    pixels = scene(2000, 3000)
    data = encoded(pixels, "JPEG", progressive=True, quality=95)
    assert np.abs(prepare(data, SMALL).astype(int) - prepare(pixels, SMALL)).max() <= 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "side", "mode", "options"),
    [
        ("PNG", 7_000, "RGB", {}),
        ("GIF", 7_000, "L", {}),
        ("WEBP", 5_000, "RGB", {"method": 0}),
        ("BMP", 7_000, "RGB", {}),
        ("JPEG", 7_000, "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", 14_000, "L", {}),
        ("PPM", 7_000, "RGB", {}),
        pytest.param("AVIF", 5_000, "RGB", {"speed": 10, "subsampling": "4:4:4"}, marks=needs_avif),
    ],
)
def test_the_largest_images_take_a_bounded_amount_of_memory(
    kind: str, side: int, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(encoded(Image.new(mode, (side, side)), kind, **options))
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURING, tmp_path / "image"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PROGRAM_S,
    )
    # 150 MB of pixels, and copies of them.
    assert int(measured.stdout) < 450_000


_MEASURING = """
import sys
from pathlib import Path
from collabd.catalog.package.manifest import Picture
from collabd.imaging import prepare

def peak_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

data = Path(sys.argv[1]).read_bytes()
before = peak_kb()
prepare(data, Picture(height=24, width=32))
print(peak_kb() - before)
"""
