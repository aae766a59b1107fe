"""Files that are not read are named, with what to do."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from collab_sdk.errors import InvalidImage
from collabd.imaging import OpenImage
from collabd.imaging.formats import AVIF, format_of


def boxes(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(900)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (boxes(b"heic", b"mif1", b"heic"), "HEIC.*Most Compatible"),
        (boxes(b"mif1", b"mif1", b"heic"), "HEIC"),
        (boxes(b"msf1", b"hevc"), "HEIC"),
        (boxes(b"heix"), "HEIC"),
        (b"II*\0" + bytes(900), "TIFF.*convert it"),
        (b"MM\0*" + bytes(900), "TIFF"),
        (b"II+\0\x08\0" + bytes(900), "TIFF"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(900), "camera raw"),
        (boxes(b"crx ", b"crx "), "camera raw"),
        (b"FUJIFILMCCD-RAW " + bytes(900), "camera raw"),
        (boxes(b"isom", b"mp41"), "video.*frames"),
        (boxes(b"qt  "), "video"),
        (b"\0\0\0\x01\x67\x42\0\x0a" + bytes(900), "video"),
        (b"\x1aE\xdf\xa3" + bytes(900), "video"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(900), "video"),
        (b"\xff\x0a" + bytes(900), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(900), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(900), "JPEG 2000"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\xef\xbb\xbf <svg/>", "SVG"),
        (b"\n<!DOCTYPE html><title>404</title>", "web page"),
        (b"\x93NUMPY\1\0", "NumPy.*pass the array"),
        (base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(90)), "base64"),
        (b"data:image/png;base64,iVBORw0KGgo", "base64"),
        (b"PK\3\4" + bytes(90), "archive"),
    ],
)
def test_a_file_of_another_kind_is_named(data: bytes, says: str) -> None:
    with pytest.raises(InvalidImage, match=says):
        OpenImage(data)


@pytest.mark.parametrize("data", [b"", b"hello", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"\0\0\0\x18ftyp", bytes(900)])
def test_what_is_no_image_says_which_are(data: bytes) -> None:
    with pytest.raises(InvalidImage, match=r"JPEG, PNG, WebP, .*BMP, GIF"):
        OpenImage(data)


@pytest.mark.parametrize(
    "data", [boxes(b"avif", b"avif", b"mif1"), boxes(b"mif1", b"miaf", b"avif"), boxes(b"avis", b"avif")]
)
def test_avif_is_named_whether_it_is_damaged_or_not_read_here(data: bytes) -> None:
    with pytest.raises(InvalidImage, match="AVIF"):
        OpenImage(data)


def test_avif_is_not_asked_for_where_it_is_not_read() -> None:
    with pytest.raises(InvalidImage, match=r"AVIF file, which collabd reads only with Pillow 11.3"):
        format_of(boxes(b"avif", b"mif1"), avif=None)
    with pytest.raises(InvalidImage, match="JPEG, PNG, WebP, BMP, GIF"):
        format_of(b"hello", avif=None)


@pytest.mark.skipif(AVIF is None, reason="Pillow was built without AVIF")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_avif_is_read(mode: str) -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).convert(mode).save(out, "AVIF")
    assert OpenImage(out.getvalue()).size == (30, 20)
