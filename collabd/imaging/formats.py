"""The kind of a file, by its first bytes. Seven kinds are read; other common kinds are named in the refusal."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from collab_sdk.errors import InvalidImage


@dataclass(frozen=True)
class FileFormat:
    """A kind of image file that is read, and Pillow's class for it."""

    name: str
    image: type[ImageFile]


AVIF: FileFormat | None = None
with suppress(ImportError):  # Pillow before 11.3
    from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile

    AVIF = FileFormat("AVIF", AvifImageFile) if SUPPORTED else None

JPEG, PNG = FileFormat("JPEG", JpegImageFile), FileFormat("PNG", PngImageFile)
WEBP, PPM = FileFormat("WebP", WebPImageFile), FileFormat("PPM", PpmImageFile)
# The first 4 bytes of a container of boxes are its length; its brands follow its kind.
_READ: tuple[tuple[bytes, FileFormat], ...] = (
    (rb"\xff\xd8\xff", JPEG),
    (rb"\x89PNG\r\n\x1a\n", PNG),
    (rb"RIFF....WEBP", WEBP),
    (rb"BM", FileFormat("BMP", BmpImageFile)),
    (rb"GIF8", FileFormat("GIF", GifImageFile)),
    (rb"P[1-6]", PPM),
)
_AVIF_BRAND = re.compile(rb"....ftyp(.{4})*?avi[fs]", re.DOTALL)

_CONVERT = "convert it to JPEG or PNG"
_CAMERA_RAW = "let the camera write JPEG too, or convert it"
_NAMED: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"....ftyp(hei[cxms]|hev[cxms]|mi[fa][12f]|msf1)",
        "HEIC",
        "on an iPhone choose Settings > Camera > Formats > Most Compatible, or convert it to JPEG",
    ),
    (rb"....ftypcrx |FUJIFILMCCD-RAW|II\*\0....CR|IIR[OS]|MMOR|IIU\0", "camera raw", _CAMERA_RAW),
    (rb"II[*+]\0|MM\0[*+]", "TIFF (or a camera's raw file, such as DNG)", _CONVERT),
    (
        rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xb3\xba]|\0\0\0\x01[\x27\x40\x67]",
        "video",
        "send its frames, as arrays or JPEG",
    ),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", _CONVERT),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000", _CONVERT),
    (rb"%PDF", "PDF", "convert the page to PNG"),
    (rb"8BPS", "Photoshop", _CONVERT),
    (rb"gimp xcf", "GIMP", _CONVERT),
    (rb"\0\0[\x01\x02]\0", "icon (ICO)", _CONVERT),
    (rb"v/1\x01|#\?R", "HDR (OpenEXR or Radiance)", _CONVERT),
    (rb"P7\n|P[Ff]\n", "PAM or PFM", _CONVERT),
    (rb"\x93NUMPY", "NumPy", "load it, and pass the array"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "archive", "unpack it, and send the images in it"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml.*)?<svg", "SVG", "render it as PNG"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)", "web page", "the download failed: look at the file"),
    (rb"data:image/|/9j/|iVBORw0KGgo|R0lGOD|UklGR", "base64 text", "decode it with base64.b64decode first"),
)
_HEAD_BYTES = 1024


def format_of(data: bytes, *, avif: FileFormat | None = AVIF) -> FileFormat:
    """The kind of file that `data` is. Raises InvalidImage for kinds that are not read.

    `avif`: the kind that reads AVIF, if this Pillow has it.
    """
    head = data[:_HEAD_BYTES]
    for signature, kind in _READ:
        if re.match(signature, head, re.DOTALL):
            return kind
    if avif is not None and _is_avif(head):
        return avif
    raise InvalidImage(_refusal(head, reads_avif=avif is not None))


def _is_avif(head: bytes) -> bool:
    """Whether it is a container of boxes whose first box says that it holds AVIF. The box begins with its length."""
    return _AVIF_BRAND.match(head[: int.from_bytes(head[:4], "big")]) is not None


def _refusal(head: bytes, *, reads_avif: bool) -> str:
    read = ", ".join(["JPEG", "PNG", "WebP", *(["AVIF"] if reads_avif else []), "BMP", "GIF"])
    if _is_avif(head):
        return f"this is an AVIF file, which collabd reads only with Pillow 11.3 or newer: {_CONVERT}"
    for signature, name, advice in _NAMED:
        if re.match(signature, head, re.DOTALL | re.IGNORECASE):
            return f"this file is of the kind {name}; collabd reads only {read} and PPM: {advice}"
    return f"this is not an image: send {read} or PPM"
