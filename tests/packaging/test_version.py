"""The version stands in one place, and what has to say it once more says the same."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import collab_sdk
import collabd
from collabd import __version__

ROOT = Path(__file__).parents[2]
NEWEST_RELEASE = re.compile(r"^## \[([0-9][^]]*)\]", re.MULTILINE)


def project(folder: str) -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return table


def found(pattern: re.Pattern[str], path: str) -> str:
    first = pattern.search((ROOT / path).read_text())
    assert first is not None, f"{path} names no version"
    return first[1]


def test_both_python_packages_have_it_from_one_place() -> None:
    assert collabd.__version__ == collab_sdk.__version__
    for folder in ("", "sdk"):
        assert "version" not in project(folder)
        assert project(folder)["dynamic"] == ["version"]


@pytest.mark.parametrize("package", ["collabd", "collab-sdk"])
def test_what_is_installed_here_is_it(package: str) -> None:
    assert version(package) == __version__, "this environment is of an older version: make .venv/dev"


def test_the_daemons_need_the_sdk_of_their_own_version() -> None:
    assert f"collab-sdk=={__version__}" in project("")["dependencies"]  # type: ignore[operator]


def test_the_debian_packages_have_it() -> None:
    assert found(re.compile(r"^collabd \(([^)]+)\)"), "packaging/debian/changelog") == __version__


def test_both_python_packages_have_the_same_licence() -> None:
    """Each is built from its own folder alone, so there are two copies."""
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "sdk/LICENSE").read_bytes()


def test_the_changelog_ends_in_it() -> None:
    assert found(NEWEST_RELEASE, "CHANGELOG.md") == __version__
