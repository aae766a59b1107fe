"""Archives of sources that say nothing of when and by whom they were made."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from release.sdist import normalise

EPOCH_S = 1_800_000_000


def archive(folder: Path, *, names: tuple[str, ...], mode: int, time_s: int) -> Path:
    """One as setuptools makes it: files of some owner, time and mode, in some order."""
    folder.mkdir()
    for name in ("a.py", "run"):
        (folder / name).write_text(f"content of {name}\n")
        (folder / name).chmod(mode | (0o111 if name == "run" else 0))
        os.utime(folder / name, (time_s, time_s))
    path = folder / "x-1.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            packed.add(folder / name, f"x-1/{name}")
    return path


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = archive(tmp_path / "one", names=("a.py", "run"), mode=0o664, time_s=1_700_000_000)
    other = archive(tmp_path / "other", names=("run", "a.py"), mode=0o640, time_s=1_600_000_000)
    assert one.read_bytes() != other.read_bytes()
    for path in (one, other):
        normalise(path, EPOCH_S)
    assert one.read_bytes() == other.read_bytes()


def test_content_stays_and_all_may_read_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "one", names=("run", "a.py"), mode=0o600, time_s=1_700_000_000)
    normalise(path, EPOCH_S)
    with tarfile.open(path) as packed:
        assert [(each.name, each.mode, each.mtime, each.uid, each.uname) for each in packed] == [
            ("x-1/a.py", 0o644, EPOCH_S, 0, ""),
            ("x-1/run", 0o755, EPOCH_S, 0, ""),
        ]
        content = packed.extractfile("x-1/a.py")
        assert content is not None
        assert content.read() == b"content of a.py\n"


def test_a_link_is_refused_rather_than_lost(tmp_path: Path) -> None:
    path = archive(tmp_path / "one", names=("a.py",), mode=0o644, time_s=0)
    (tmp_path / "one/link").symlink_to("/etc/passwd")
    with tarfile.open(path, "w:gz") as packed:
        packed.add(tmp_path / "one/link", "x-1/link")
    with pytest.raises(ValueError, match="x-1/link is a link"):
        normalise(path, EPOCH_S)
