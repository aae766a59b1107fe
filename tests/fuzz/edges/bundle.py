"""A pushed package, up to where its graph is judged: an archive of any bytes, and one with any headers."""

from __future__ import annotations

import io
import tarfile
from functools import cache
from pathlib import Path

from collab_sdk.errors import InvalidPackage, RequestTooLarge
from collabd.catalog.store import bundle
from collabd.catalog.trial.apart import try_apart
from tests.fuzz import tiny
from tests.fuzz.choices import Choices
from tests.fuzz.scratch import new_directory

# The digest of a package that nobody has. It spares the trial of a sound package in its own process, which takes 1 s.
ANNOUNCED = "sha256:" + "0" * 64
MAX_BYTES = 2**16
# Name, size, type, link and prefix in a header of a tar archive: where and how long.
FIELDS = ((0, 100), (124, 12), (156, 1), (157, 100), (345, 155))
WORDS = ("ustar", "package.json", "model.onnx", "LICENCE", "digest", "../", "00000000017")


@cache
def _parent() -> Path:
    return new_directory("received")


@cache
def _archive() -> bytes:
    return bundle.pack(tiny.package())


def check(data: bytes) -> None:
    """Refused, and nothing is left of it."""
    choices = Choices(data)
    archive = choices.rest() if choices.below(2) else _edited(_archive(), choices)
    try:
        bundle.unpack(archive, _parent(), digest=ANNOUNCED, max_bytes=MAX_BYTES, try_out=try_apart)
    except (InvalidPackage, RequestTooLarge):
        assert not [*_parent().iterdir()]
        return
    raise AssertionError("a package of another digest was kept")


def _edited(archive: bytes, choices: Choices) -> bytes:
    """The archive with some header fields overwritten and right checksums; the first check refuses wrong ones."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        headers = [member.offset for member in tar]
    edited = bytearray(archive)
    for _ in range(choices.below(4)):
        header = choices.pick(headers)
        field, length = choices.pick(FIELDS)
        value = choices.take(1 + choices.below(length))
        edited[header + field : header + field + len(value)] = value
        edited[header + 148 : header + 156] = b" " * 8
        edited[header + 148 : header + 156] = b"%06o\0 " % sum(edited[header : header + 512])
    return bytes(edited)


def seeds() -> list[bytes]:
    """As packed, with another size, and with another name."""
    return [b"\1" + _archive(), b"\0\0", b"\0\1\0\1\x0b00000000017\0", b"\0\2\1\0\x06../etc\2\2\0\x35"]
