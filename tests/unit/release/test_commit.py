"""A commit, as a real git tells of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from release.commit import head

EPOCH_S = 1_800_000_000


def git(repository: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@collabd.example")
    environment = {**os.environ, "GIT_COMMITTER_DATE": f"{EPOCH_S} +0000", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "-C", repository, *who, *arguments], check=True, env=environment)  # noqa: S607


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    here = tmp_path / "repository"
    here.mkdir()
    git(here, "init", "--quiet")
    (here / "kept").write_text("1")
    (here / "run").write_text("2")
    (here / "run").chmod(0o700)
    git(here, "add", ".")
    git(here, "commit", "--quiet", "--message=all")
    return here


def test_it_has_its_time_and_its_tags(repository: Path) -> None:
    assert (head(repository).epoch_s, head(repository).tags) == (EPOCH_S, frozenset())
    git(repository, "tag", "v1.2.3")
    git(repository, "tag", "--annotate", "--message=it", "nightly")
    assert head(repository).tags == {"v1.2.3", "nightly"}


def test_what_differs_from_it_is_named(repository: Path) -> None:
    assert head(repository).changed == ()
    (repository / "kept").write_text("changed")
    (repository / "new").touch()
    assert head(repository).changed == ("kept", "new")


def test_only_what_it_holds_is_exported_whatever_the_umask(repository: Path, tmp_path: Path) -> None:
    (repository / "kept").write_text("changed")
    (repository / "new").touch()
    before = os.umask(0o077)
    try:
        exported = head(repository).export(tmp_path / "exported")
    finally:
        os.umask(before)
    assert {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in exported.iterdir()} == {
        "kept": ("1", 0o644),
        "run": ("2", 0o755),
    }
