"""docs/health.md shows the very table of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collabd.health.conditions import CONDITIONS, Code, Condition

PAGE = (Path(__file__).parents[3] / "docs" / "health.md").read_text()
HEAD = """| condition | severity | of | when it stands | what to do | raised, cleared after | behind |
| --- | --- | --- | --- | --- | --- | --- |
"""


def row(code: Code, condition: Condition) -> str:
    cells = (
        f"`{code}`",
        condition.severity,
        " and ".join(condition.daemons),
        condition.sentence,
        condition.do + ".",
        f"{condition.raise_s:.0f} s, {condition.clear_s:.0f} s",
        ", ".join(f"`{cause}`" for cause in condition.behind),
    )
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


def test_the_table_is_that_of_the_code() -> None:
    table = HEAD + "".join(row(code, condition) for code, condition in CONDITIONS.items())
    assert table in PAGE, f"docs/health.md should have this table:\n\n{table}"


@pytest.mark.parametrize("code", Code)
def test_what_the_journal_says_otherwise_is_named(code: Code) -> None:
    event = CONDITIONS[code].event
    named = re.findall(rf"^\| `{code}` \| `([A-Z_]+)`", PAGE, re.MULTILINE)
    assert named == ([event] if event else [])
