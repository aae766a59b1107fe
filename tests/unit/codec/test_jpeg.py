"""The image cut as JPEG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collabd.codec import JPEG, JPEG_CODECS, USUAL_JPEG, CodecError, decode, encode

UINT8 = np.dtype(np.uint8)


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 255 // width, y * 255 // height, (x + y) % 256), axis=-1).astype(np.uint8)[np.newaxis]


def jpeg_of(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def photograph() -> NDArray[np.uint8]:
    """Smooth as a photograph, in colours that change faster than brightness."""
    coarse = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((192, 192), Image.Resampling.BICUBIC))[np.newaxis]


@pytest.mark.parametrize("codec", JPEG_CODECS)
def test_an_image_comes_back_nearly_the_same_and_much_smaller(codec: str) -> None:
    image = gradient(224, 200)
    encoded = encode(image, codec)
    back = decode(encoded.payload, encoded.parameters, dtype=image.dtype, shape=image.shape)
    assert (back.dtype, back.shape) == (image.dtype, image.shape)
    assert back.flags.writeable
    assert np.abs(back.astype(int) - image).mean() < 4
    assert len(encoded.payload) < image.nbytes / 5
    assert encoded.parameters == {"codec": "jpeg", "zstd": False}  # one decoder reads them all


@pytest.mark.parametrize("colour", ["", "-444"])
def test_a_higher_quality_takes_more_bytes_and_loses_less(colour: str) -> None:
    sizes, losses = zip(*(size_and_loss(f"jpeg{quality}{colour}") for quality in (75, 90, 95)), strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(losses) == sorted(losses, reverse=True)


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_full_resolution_of_colour_takes_more_bytes_and_loses_less(quality: int) -> None:
    halved, full = (size_and_loss(f"jpeg{quality}{colour}") for colour in ("", "-444"))
    assert halved[0] < full[0]
    assert halved[1] > full[1]


def size_and_loss(codec: str) -> tuple[int, float]:
    """Bytes, and the mean change of a pixel's value."""
    image = photograph()
    encoded = encode(image, codec)
    back = decode(encoded.payload, encoded.parameters, dtype=UINT8, shape=image.shape)
    return len(encoded.payload), float(np.abs(back.astype(int) - image).mean())


def test_the_usual_jpeg_is_the_one_of_that_name() -> None:
    assert encode(photograph(), JPEG) == encode(photograph(), USUAL_JPEG)


def test_a_jpeg_is_not_compressed_again() -> None:
    encoded = encode(gradient(8, 8), "jpeg90")
    with pytest.raises(CodecError, match="not compressed again"):
        decode(encoded.payload, encoded.parameters | {"zstd": True}, dtype=UINT8, shape=(1, 8, 8, 3))


@pytest.mark.parametrize(
    "array",
    [
        gradient(8, 8)[0],
        np.concatenate([gradient(8, 8)] * 2),
        gradient(8, 8)[..., :1],
        gradient(8, 8).astype(np.float32),
        np.zeros((1, 0, 8, 3), np.uint8),
        np.zeros((1, 1, 70_000, 3), np.uint8),
    ],
    ids=["no batch", "batch of 2", "grey", "float", "empty", "too wide for JPEG"],
)
def test_anything_but_one_image_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(CodecError):
        encode(array, "jpeg")


@pytest.mark.parametrize("shape", [(1, 8, 16, 3), (1, 16, 16, 3), (2, 16, 8, 3), (1, 16, 8, 1)])
def test_a_jpeg_of_another_size_than_the_tensor_is_refused(shape: tuple[int, ...]) -> None:
    payload = encode(gradient(16, 8), "jpeg").payload
    with pytest.raises(CodecError):
        decode(payload, {"codec": "jpeg"}, dtype=UINT8, shape=shape)


def test_a_huge_jpeg_is_refused_by_its_header() -> None:
    small = bytes(encode(gradient(8, 8), "jpeg").payload)
    at = small.index(b"\xff\xc0") + 5
    huge = small[:at] + (30_000).to_bytes(2, "big") * 2 + small[at + 4 :]
    with pytest.raises(CodecError, match="30000x30000"):
        decode(huge, {"codec": "jpeg"}, dtype=UINT8, shape=(1, 8, 8, 3))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_that_is_not_rgb_is_refused(mode: str) -> None:
    with pytest.raises(CodecError, match=mode):
        decode(jpeg_of(Image.new(mode, (8, 8))), {"codec": "jpeg"}, dtype=UINT8, shape=(1, 8, 8, 3))


def test_a_truncated_jpeg_and_another_format_are_refused() -> None:
    payload = encode(gradient(64, 64), "jpeg").payload
    png = io.BytesIO()
    Image.new("RGB", (64, 64)).save(png, "PNG")
    for damaged in (payload[: len(payload) // 2], payload[:10], b"", png.getvalue()):
        with pytest.raises(CodecError):
            decode(damaged, {"codec": "jpeg"}, dtype=UINT8, shape=(1, 64, 64, 3))
