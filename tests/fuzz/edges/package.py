"""A package directory in which one file holds anything, with a right digest: the loader, the manifest, the graph."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import msgspec

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package.manifest import Agreement, CodecFigures, Cut, Layer, Manifest
from collabd.catalog.package.package import DIGEST, LICENCE, MANIFEST, MODEL, digest_of, load
from tests.fuzz import tiny
from tests.fuzz.scratch import new_directory

FILES = (MANIFEST, MODEL, DIGEST, LICENCE)
KEYS = (key for kind in (Manifest, Layer, Cut, CodecFigures, Agreement) for key in kind.__struct_fields__)
WORDS = (*KEYS, *("relu", "flat", "logits", "image", "q8", "probabilities", "bicubic", "null"))


@cache
def _directory() -> Path:
    return Path(shutil.copytree(tiny.package().path, new_directory("package") / "tiny"))


def check(data: bytes) -> None:
    """`InvalidPackage`, or a package whose graph fits its manifest."""
    directory, name = _directory(), FILES[(data[:1] or b"\0")[0] % len(FILES)]
    for each in FILES:
        shutil.copyfile(tiny.package().path / each, directory / each)
    (directory / name).write_bytes(data[1:])
    if name != DIGEST:
        (directory / DIGEST).write_text(digest_of(directory))
    try:
        package = load(directory)
        network = package.network()
    except InvalidPackage:
        return
    assert msgspec.json.decode(msgspec.json.encode(package.manifest), type=Manifest) == package.manifest
    assert [info.name for info in network.inputs] == [*package.manifest.input_names]


def seeds() -> list[bytes]:
    """Each file as it should be."""
    return [bytes([index]) + (tiny.package().path / name).read_bytes() for index, name in enumerate(FILES)]
