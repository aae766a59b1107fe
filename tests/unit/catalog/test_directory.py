from __future__ import annotations

from pathlib import Path

import pytest

from collabd.catalog.directory import whole_directory


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
