"""The README's way without installing, from nothing: in a copy of the checkout, with what pip brings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.newcomer import following
from tests.pages import CHECKOUT, block

pytestmark = pytest.mark.packaging
_MADE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


def test_the_way_without_installing_works_as_written(tmp_path: Path) -> None:
    tree, home = tmp_path / "tree", tmp_path / "home"
    shutil.copytree(CHECKOUT, tree, ignore=_MADE)
    home.mkdir()
    with following(block("python3 -m venv"), tree, home, within_s=1500) as newcomer:
        assert "answer     espresso" in newcomer.said
        ran = newcomer.run("venv/bin/python", "-I", "-c", block("from collab_sdk import infer"))
        assert ran.stdout.startswith("espresso ")
        assert newcomer.run("venv/bin/collabctl", "status").stdout.startswith("collabd    ")
