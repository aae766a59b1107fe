"""A folder with an index of the tiny package, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collabd.catalog.package.package import Package
from collabd.catalog.pull.publish import publish
from tests.file_server import FileServer, serving


@pytest.fixture
def folder(tiny_package: Package, tmp_path: Path) -> Path:
    publish([tiny_package], tmp_path / "offered")
    return tmp_path / "offered"


@pytest.fixture
def server(folder: Path) -> Iterator[FileServer]:
    with serving(folder) as it:
        yield it
