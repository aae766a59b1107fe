"""The sections of a changelog, and the notes made of them."""

from __future__ import annotations

import pytest

from release import changelog

TEXT = """\
# Changelog

What a user notices.

## [Unreleased]

### Added

- A wheel.

## [0.2.0] - 2026-11-30

### Fixed

- A [link](docs/link.md).

## [0.1.0] - 2026-11-24

- All.
"""


def test_each_version_has_what_stands_below_its_heading() -> None:
    assert changelog.sections(TEXT) == {
        "Unreleased": "### Added\n\n- A wheel.",
        "0.2.0": "### Fixed\n\n- A [link](docs/link.md).",
        "0.1.0": "- All.",
    }


def test_the_notes_are_one_section_under_a_title() -> None:
    assert changelog.notes(TEXT, "0.2.0") == "# collabd 0.2.0\n\n### Fixed\n\n- A [link](docs/link.md).\n"


def test_there_are_no_notes_of_a_version_without_a_section() -> None:
    with pytest.raises(KeyError):
        changelog.notes(TEXT, "0.3.0")


def test_after_a_release_nothing_is_unreleased_and_all_else_is_as_it_was() -> None:
    after = changelog.released(TEXT, "0.3.0", "2026-12-01")
    assert changelog.unreleased(TEXT) == "### Added\n\n- A wheel."
    assert changelog.unreleased(after) == ""
    assert changelog.sections(after)["0.3.0"] == changelog.unreleased(TEXT)
    assert after.replace("## [0.3.0] - 2026-12-01\n\n", "") == TEXT


def test_a_changelog_without_a_place_for_what_is_unreleased_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no line '## \[Unreleased\]'"):
        changelog.released("# Changelog\n", "0.3.0", "2026-12-01")
