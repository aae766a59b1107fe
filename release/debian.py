"""The Debian packages, for the release of Debian and the processor of this machine."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from release.tools import run

_TOOLS = ("dpkg-buildpackage", "dh", "dh_python3")


def missing() -> list[str]:
    """What of the tools is not installed here."""
    return [tool for tool in _TOOLS if shutil.which(tool) is None]


def build(source: Path, into: Path, epoch_s: int) -> None:
    """Build them from the sources, into a folder that is named after the release of Debian that they are for.

    What they bring from PyPI is what PyPI has today.
    """
    run("make", "--silent", "deb", cwd=source, epoch_s=epoch_s)
    system = platform.freedesktop_os_release()
    folder = into / f"{system['ID']}-{system['VERSION_ID']}"
    folder.mkdir()
    for package in sorted((source / "build/deb").glob("*.deb")):
        shutil.copyfile(package, folder / package.name)
