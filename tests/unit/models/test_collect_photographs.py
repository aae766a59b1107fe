"""Photographs out of unpacked Debian packages."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.collect_photographs import PATTERNS, collect, embedded


def picture(side: int, kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(out, kind)
    return out.getvalue()


def resource(data: bytes) -> bytes:
    """A file as Qt's resources hold it."""
    return len(data).to_bytes(4) + data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked package with one photograph of each pattern."""
    for pattern in PATTERNS:
        path = tmp_path / "usr/share" / pattern.replace("*", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"qres" + resource(picture(400, "WebP")) if path.suffix == ".rcc" else picture(400))
    return tmp_path


def test_files_in_a_qt_resource_are_found_whole() -> None:
    files = [picture(64), picture(48, "WebP"), picture(32)]
    resources = b"qres\0\0\0\3" + b"".join(map(resource, files)) + b"names and a tree"
    found = list(embedded(resources))
    assert set(files) <= set(found)
    assert list(embedded(b"\xff\xd8\xff\xe0")) == []


def test_one_of_each_pattern_is_written_under_a_name_that_tells_where_it_lay(root: Path, tmp_path: Path) -> None:
    written = collect(root, tmp_path / "out")
    assert len({path.name for path in written}) == len(PATTERNS)
    assert "gcompris-qt-rcc-erase.rcc-000.webp" in {path.name for path in written}
    assert all(Image.open(io.BytesIO(path.read_bytes())).size == (400, 400) for path in written)


def test_small_pictures_and_what_is_no_picture_are_left_out(root: Path, tmp_path: Path) -> None:
    backgrounds = root / "usr/share/backgrounds"
    (backgrounds / "small_by_x.jpg").write_bytes(picture(392))
    (backgrounds / "torn_by_x.jpg").write_bytes(picture(400)[:900])
    assert len(collect(root, tmp_path / "out")) == len(PATTERNS)


def test_a_package_that_is_not_unpacked_is_told(root: Path, tmp_path: Path) -> None:
    (root / "usr/share/palapeli/collection/x.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"no palapeli/collection/\*\.jpg: unpack"):
        collect(root, tmp_path / "out")
