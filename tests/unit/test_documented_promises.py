"""Every row of the tables of promises names tests, and those are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _rows() -> Iterator[tuple[str, str]]:
    """First and last cell of each row."""
    for page in ("security", "reliability", "dashboard"):
        of_tests = False
        for line in (ROOT / f"docs/{page}.md").read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            of_tests = line.startswith("|") and (of_tests or cells[-1] == "test")
            if of_tests and set(line) - set("|- ") and cells[-1] != "test":
                yield f"{page}: {cells[0]}, {cells[1]}", cells[-1]


@cache
def _functions(path: Path) -> frozenset[str]:
    found = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("promise", "proof"), [pytest.param(*row, id=row[0]) for row in _rows()])
def test_a_promise_names_tests_that_exist(promise: str, proof: str) -> None:
    named = _TEST.findall(proof)
    assert named, f"{promise}: no test is named"
    for file, function in named:
        assert function in _functions(ROOT / file), f"{promise}: {file} has no {function}"
