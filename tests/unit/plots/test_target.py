"""A picture that cannot be drawn is refused before anything is computed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collab_sdk.errors import InvalidRequest
from collabd.plots.target import ready


@pytest.mark.parametrize("name", ["plans.png", "plans.SVG"])
def test_what_can_be_drawn(tmp_path: Path, name: str) -> None:
    ready(tmp_path / name)
    (tmp_path / name).write_text("an older one")
    ready(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plans.jpeg", r"plans.jpeg: pictures are written as .png or .svg"),
        ("plans", r"plans: pictures are written as .png or .svg"),
        ("missing/plans.png", "there is no directory .*missing"),
        ("folder.png", "folder.png is a directory"),
    ],
)
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InvalidRequest, match=said):
        ready(tmp_path / name)


def test_matplotlib_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"--plot needs matplotlib: pip install 'collabd\[plot\]'"):
        ready(tmp_path / "plans.png", find=lambda _: None)
