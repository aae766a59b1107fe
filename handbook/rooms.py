"""The map of the rooms: every package of the tree, with the first sentence of what it says of itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from handbook.markdown import table

ROOT = Path(__file__).parents[1]
TOPS = {"collabd": ROOT / "collabd", "collab_sdk": ROOT / "sdk/collab_sdk"}


def rooms(top: Path) -> Iterator[tuple[str, int, str]]:
    """Each package below `top`: its path from there, how many modules it has, and its docstring's first sentence."""
    for init in sorted(top.rglob("__init__.py")):
        said = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        modules = sum(1 for path in init.parent.glob("*.py") if path != init)
        yield str(init.parent.relative_to(top.parent)), modules, first_sentence(said)


def modules(top: Path) -> Iterator[tuple[str, str]]:
    """Modules that lie directly in `top`."""
    for path in sorted(top.glob("*.py")):
        if path.name != "__init__.py":
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            yield str(path.relative_to(top.parent)), first_sentence(said)


def first_sentence(docstring: str) -> str:
    """Of a docstring, which may be several paragraphs."""
    paragraph = " ".join(docstring.split("\n\n", 1)[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + stop.strip()


def page() -> str:
    """The map, a table for each of the two trees."""
    parts = []
    for name, top in TOPS.items():
        rows = [(f"`{path}`", str(count), said) for path, count, said in rooms(top)]
        alone = [(f"`{path}`", said) for path, said in modules(top)]
        parts.append(
            f"## {name}\n\n{table(('room', 'modules', 'job'), rows)}\n"
            f"Modules of `{name}` itself:\n\n{table(('module', 'job'), alone)}"
        )
    return "\n".join(parts)
