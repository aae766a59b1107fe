"""`python -m release.version VERSION`: write the version of the next release wherever it stands.

It stands in the SDK (`sdk/collab_sdk/_version.py`), which both distributions read it from: so archives, copies and
checkouts without tags build the same. The tag says it once more, and `make release` refuses where the two differ.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from release import changelog

_FORM = re.compile(r"\d+\.\d+\.\d+")
_IN_SDK = re.compile(r'(?<=^__version__ = ")[^"]+', re.MULTILINE)
_PINNED = re.compile(r'(?<="collab-sdk==)[^"]+')
_SDK = Path("sdk/collab_sdk/_version.py")
_DEBIAN = """\
collabd ({version}) unstable; urgency=medium

  * New release; see CHANGELOG.md.

 -- collabd maintainers <maintainers@collabd.example>  {date}

"""


def of(checkout: Path) -> str:
    """The version of the sources in a checkout."""
    found = _IN_SDK.search((checkout / _SDK).read_text())
    if found is None:
        raise ValueError(f"{_SDK} names no version")
    return found[0]


def write(checkout: Path, version: str, now: datetime) -> list[Path]:
    """Write it into all files that name it, and return these. Raises `ValueError`: it is none, or is there already."""
    if not _FORM.fullmatch(version):
        raise ValueError(f"{version} is no version such as 1.2.3")
    if version in changelog.sections((checkout / "CHANGELOG.md").read_text()):
        raise ValueError(f"CHANGELOG.md has a section of {version} already")
    debian = _DEBIAN.format(version=version, date=format_datetime(now))
    changes: dict[Path, Callable[[str], str]] = {
        _SDK: lambda text: _once(_IN_SDK, version, text),
        Path("pyproject.toml"): lambda text: _once(_PINNED, version, text),
        Path("packaging/debian/changelog"): lambda text: debian + text,
        Path("CHANGELOG.md"): lambda text: changelog.released(text, version, f"{now:%Y-%m-%d}"),
    }
    texts = {path: change((checkout / path).read_text()) for path, change in changes.items()}
    for path, text in texts.items():
        (checkout / path).write_text(text)
    return list(texts)


def _once(pattern: re.Pattern[str], version: str, text: str) -> str:
    changed, count = pattern.subn(version, text)
    if count != 1:
        raise ValueError(f"the version stands {count} times where it should stand once: {pattern.pattern}")
    return changed


def main() -> None:
    """What `make version` runs."""
    try:
        changed = write(Path.cwd(), sys.argv[1], datetime.now(UTC))
    except ValueError as error:
        sys.exit(str(error))
    print("changed:", *changed, sep="\n  ")
    print(f"Read them, commit them, and tag that commit: git tag --annotate v{sys.argv[1]}")


if __name__ == "__main__":
    main()
