"""Planning is a function of what it is given: it asks no clock, no file and no chance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from collabd import planning

MODULES = sorted(Path(planning.__file__).parent.rglob("*.py"))
WITHOUT_EFFECTS = {"collections", "dataclasses", "functools", "itertools", "math", "numpy", "statistics", "typing"}
OURS = {"__future__", "collab_sdk", "collabd"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_only_what_has_no_effects_is_imported(module: Path) -> None:
    assert set(imported(module)) <= WITHOUT_EFFECTS | OURS


def test_planning_imports_nothing_of_ours_but_words() -> None:
    ours = {name for module in MODULES for name in imported(module, whole=True) if name.partition(".")[0] in OURS}
    theirs = {name for name in ours if not name.startswith(("collabd.planning", "__future__"))}
    assert theirs == {"collab_sdk.budget", "collab_sdk.vocabulary"}


def imported(module: Path, *, whole: bool = False) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name if whole else name.partition(".")[0] for name in names)
