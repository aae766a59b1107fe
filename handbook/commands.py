"""The commands, as click knows them, and the targets of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from handbook.markdown import table

ROOT = Path(__file__).parents[1]
_TARGET = re.compile(r"^([a-z][a-z0-9-]*):.*?## (.*)$", re.MULTILINE)
_BLOCK = """::: mkdocs-click
    :module: {module}
    :command: main
    :prog_name: {program}
    :depth: {depth}
    :style: plain
"""
PROGRAMS = {
    "collabctl": "collabd.ctl.__main__",
    "collabd": "collabd.__main__",
    "collab-cloudd": "collabd.cloud.__main__",
}


def page() -> str:
    """All commands and options, which mkdocs-click writes."""
    return "\n".join(_BLOCK.format(module=module, program=name, depth=1) for name, module in PROGRAMS.items())


def targets() -> Iterator[tuple[str, str]]:
    """The targets of make that `make help` lists, with what they do."""
    for path in (ROOT / "Makefile", *sorted((ROOT / "packaging").glob("*.mk"))):
        yield from _TARGET.findall(path.read_text(encoding="utf-8"))


def targets_page() -> str:
    """The table of make's targets."""
    rows = [(f"`make {name}`", says.replace("[", "\\[")) for name, says in targets()]
    return table(("target", ""), rows)
