"""The next version, written wherever it stands."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release import version

CHECKOUT = Path(__file__).parents[3]
NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
PLACES = ("sdk/collab_sdk/_version.py", "pyproject.toml", "packaging/debian/changelog", "CHANGELOG.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this checkout that name the version."""
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / place, tmp_path / place)
    return tmp_path


def test_it_is_written_into_each_place(checkout: Path) -> None:
    assert [str(path) for path in version.write(checkout, "97.0.1", NOW)] == list(PLACES)
    assert version.of(checkout) == "97.0.1"
    assert '"collab-sdk==97.0.1",' in (checkout / "pyproject.toml").read_text()
    debian = (checkout / "packaging/debian/changelog").read_text()
    assert debian.startswith("collabd (97.0.1) unstable; urgency=medium\n")
    assert "  Sat, 02 Jan 2027 03:04:05 +0000\n" in debian
    assert "\n## [Unreleased]\n\n## [97.0.1] - 2027-01-02\n\n" in (checkout / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("wrong", ["97", "v97.0.1", "97.0.1-dirty", "97.0.1\n", ""])
def test_what_is_no_version_changes_nothing(checkout: Path, wrong: str) -> None:
    before = {place: (checkout / place).read_text() for place in PLACES}
    with pytest.raises(ValueError, match="is no version such as"):
        version.write(checkout, wrong, NOW)
    assert {place: (checkout / place).read_text() for place in PLACES} == before


def test_a_version_comes_out_once(checkout: Path) -> None:
    version.write(checkout, "97.0.1", NOW)
    with pytest.raises(ValueError, match=r"has a section of 97\.0\.1 already"):
        version.write(checkout, "97.0.1", NOW)


def test_a_place_that_lost_it_is_named_and_nothing_is_changed(checkout: Path) -> None:
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("collab-sdk==", "collab-sdk>="))
    before = version.of(checkout)
    with pytest.raises(ValueError, match="stands 0 times where it should stand once"):
        version.write(checkout, "97.0.1", NOW)
    assert version.of(checkout) == before
