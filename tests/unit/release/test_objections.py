"""Which commits are no release, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from release.commit import Commit
from release.objections import objections

RELEASED = "## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n- A wheel.\n"
TAGGED = Commit(Path(), "c0ffee", 1_800_000_000, tags=frozenset({"v1.2.3", "nightly"}), changed=())


def test_the_commit_of_the_versions_tag_is_a_release() -> None:
    assert list(objections(TAGGED, "1.2.3", RELEASED)) == []


@pytest.mark.parametrize(
    ("commit", "version", "changes", "said"),
    [
        (replace(TAGGED, changed=("a.py", "b.py")), "1.2.3", RELEASED, "commit or remove a.py, b.py"),
        (replace(TAGGED, changed=tuple("abcd")), "1.2.3", RELEASED, "commit or remove a, b, c, ..."),
        (replace(TAGGED, tags=frozenset({"nightly"})), "1.2.3", RELEASED, "the commit has no tag v1.2.3"),
        (replace(TAGGED, tags=frozenset({"v1.3.0"})), "1.2.3", RELEASED, "are of 1.2.3, the tag says v1.3.0"),
        (TAGGED, "1.2.3", RELEASED.replace("1.2.3", "1.2.2"), "CHANGELOG.md says nothing of 1.2.3"),
        (TAGGED, "1.2.3", "## [1.2.3] - 2026-12-01\n", "CHANGELOG.md says nothing of 1.2.3"),
        (TAGGED, "1.2.3", RELEASED.replace("ed]\n", "ed]\n\n- More.\n", 1), "changes under Unreleased"),
    ],
)
def test_anything_else_is_refused_for_one_reason(commit: Commit, version: str, changes: str, said: str) -> None:
    (reason,) = objections(commit, version, changes)
    assert said in reason


def test_all_reasons_are_said_at_once() -> None:
    commit = replace(TAGGED, tags=frozenset(), changed=("a.py",))
    assert len(list(objections(commit, "1.2.3", "## [Unreleased]\n\n- More.\n"))) == 4
