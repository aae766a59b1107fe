"""The wheel and the source archive of each of the two distributions, built and checked."""

from __future__ import annotations

from pathlib import Path

from release.sdist import normalise
from release.tools import python

# Where each distribution's project lies in the sources.
_PROJECTS = ("sdk", ".")


def build(source: Path, into: Path, epoch_s: int) -> list[Path]:
    """Build each source archive from the sources, and each wheel from its archive; returns all of them.

    The same sources give the same bytes, whoever builds and where, with the same version of setuptools.
    """
    for project in _PROJECTS:
        # setuptools writes this time into wheels.
        python("build", "--outdir", into, source / project, epoch_s=epoch_s)
    archives = sorted(into.glob("*.tar.gz"))
    for archive in archives:
        normalise(archive, epoch_s)
    return [*archives, *sorted(into.glob("*.whl"))]


def check(distributions: list[Path]) -> None:
    """What an index would refuse, or render wrongly, and what a wheel should not hold. Raises `CalledProcessError`."""
    python("twine", "check", "--strict", *distributions)
    python("check_wheel_contents", *(each for each in distributions if each.suffix == ".whl"))
