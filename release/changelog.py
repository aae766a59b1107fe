"""CHANGELOG.md, in the form of Keep a Changelog: its sections as notes of a release, and a new section."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^## \[([^]]+)\].*\n", re.MULTILINE)
_UNRELEASED = "Unreleased"


def sections(text: str) -> dict[str, str]:
    """What is said of each version, newest first, by the name in its heading; "" where nothing is."""
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {heading[1]: text[heading.end() : end].strip() for heading, end in zip(headings, ends, strict=True)}


def notes(text: str, version: str) -> str:
    """The notes of a release. Raises `KeyError` where the version has no section."""
    return f"# collabd {version}\n\n{sections(text)[version]}\n"


def unreleased(text: str) -> str:
    """What no version has yet."""
    return sections(text).get(_UNRELEASED, "")


def released(text: str, version: str, day: str) -> str:
    """The text after a release on `day`: what was unreleased has become the section of this version."""
    heading = f"## [{_UNRELEASED}]\n"
    if heading not in text:
        raise ValueError(f"CHANGELOG.md has no line {heading.strip()!r}")
    return text.replace(heading, f"{heading}\n## [{version}] - {day}\n", 1)
