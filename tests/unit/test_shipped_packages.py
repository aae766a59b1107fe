"""Where the packages lie that come with collabd, for whoever has none loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from collabd import shipped_packages
from collabd.catalog.package.package import load
from collabd.config import DeviceConfig, model_roots


def test_the_command_that_adds_one_names_a_sound_package() -> None:
    """The tests run from the source, whose networks are found."""
    said, _, directory = shipped_packages.how_to_add().rpartition(" ")
    assert said == "add one: collabctl models add"
    assert load(Path(directory)).manifest.name == shipped_packages.DEFAULT_MODEL == DeviceConfig().models.default


def test_what_was_installed_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / shipped_packages.DEFAULT_MODEL
    package.mkdir()
    (package / "package.json").touch()
    monkeypatch.setenv("COLLABD_MODELS", str(tmp_path))
    assert shipped_packages.how_to_add() == f"add one: collabctl models add {package}"
    assert model_roots(DeviceConfig(), "collabd")[1] == tmp_path
