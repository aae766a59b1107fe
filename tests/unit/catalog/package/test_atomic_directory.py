from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from collabd.catalog.package.atomic_directory import remove_directory, tidy, whole_directory
from tests.patience import PROGRAM_S


def fill(target: Path, text: str) -> None:
    with whole_directory(target) as directory:
        (directory / "file").write_text(text)


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "parent" / "target"
    with whole_directory(target) as directory:
        (directory / "file").write_text("new")
        assert not target.exists()
    assert (target / "file").read_text() == "new"
    assert target.stat().st_mode == target.parent.stat().st_mode
    assert list(target.parent.iterdir()) == [target]


def test_an_older_one_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "target"
    fill(target, "old")
    (target / "another").touch()
    fill(target, "new")
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [("file", "new")]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_all_is_as_before(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "target"
    fill(target, "old")
    with pytest.raises(error), whole_directory(target) as directory:  # noqa: PT012
        (directory / "file").write_text("half")
        raise error
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".new-target-abc" / "new").mkdir(parents=True)
    fill(tmp_path / "target", "kept")
    tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    tidy(tmp_path / "absent")


def test_one_that_made_way_takes_its_place_again(tmp_path: Path) -> None:
    target = tmp_path / "a-name-with-dashes"
    fill(target, "old")
    scratch = tmp_path / f".new-{target.name}-abc"
    scratch.mkdir()
    target.rename(scratch / "old")
    tidy(tmp_path)
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_being_filled_is_left_alone(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "target") as directory:
        (directory / "file").write_text("half")
        tidy(tmp_path)
    assert (tmp_path / "target" / "file").read_text() == "half"


def test_a_crash_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """The process ends at its first, second, … call that changes or flushes a name."""
    for calls in range(12):
        parent = tmp_path / str(calls)
        fill(parent / "target", "old")
        done = subprocess.run(
            [sys.executable, "-c", _DYING, parent / "target", str(calls)], check=False, timeout=PROGRAM_S
        )
        tidy(parent)
        assert (parent / "target" / "file").read_text() in {"old", "new"}
        assert [path.name for path in parent.iterdir()] == ["target"]
    assert done.returncode == 0
    assert (parent / "target" / "file").read_text() == "new"


_DYING = """
import os, sys
import subprocess
import sys
from pathlib import Path
from collabd.catalog.package.atomic_directory import remove_directory, tidy, whole_directory

left = int(sys.argv[2])
def dying(real):
    def call(*arguments, **options):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return real(*arguments, **options)
    return call

for name in ("mkdir", "rename", "fsync"):
    setattr(os, name, dying(getattr(os, name)))
with whole_directory(Path(sys.argv[1])) as directory:
    (directory / "file").write_text("new")
"""


def test_removing_is_all_or_nothing_to_whoever_looks(tmp_path: Path) -> None:
    fill(tmp_path / "target", "old")
    remove_directory(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []
    # One that was cut short is finished by the next.
    fill(tmp_path / ".new-target-gone", "half removed")
    fill(tmp_path / "target", "again")
    remove_directory(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []
