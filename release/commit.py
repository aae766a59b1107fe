"""The commit that a release is made of, as git knows it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """HEAD of a checkout. `epoch_s`: when it was committed. `changed`: files that differ from it, or that it lacks."""

    checkout: Path
    sha: str
    epoch_s: int
    tags: frozenset[str]
    changed: tuple[str, ...]

    def export(self, folder: Path) -> Path:
        """Write its files, and nothing else, into a folder; returns this."""
        # The modes that files have for everyone, whoever releases.
        archive = _git(self.checkout, "-c", "tar.umask=0022", "archive", "--format=tar", self.sha)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="tar")
        return folder


def head(checkout: Path) -> Commit:
    """What is checked out. Raises `CalledProcessError` where git knows of none."""
    sha, epoch_s = _git(checkout, "log", "-1", "--format=%H %ct").decode().split()
    return Commit(
        checkout,
        sha,
        int(epoch_s),
        frozenset(_git(checkout, "tag", "--points-at", sha).decode().split()),
        tuple(line[3:] for line in _git(checkout, "status", "--porcelain").decode().splitlines()),
    )


def _git(checkout: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", checkout, *arguments], check=True, stdout=subprocess.PIPE).stdout  # noqa: S607
