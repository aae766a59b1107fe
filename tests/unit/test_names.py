"""The names of the house: a class name stands once, and whoever makes a thing of many parts names them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_POSITIONAL = 3


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for folder in ("collabd", "sdk/collab_sdk", "models"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def positional_fields(node: ast.ClassDef) -> int:
    """How many fields of a dataclass may be given without their names."""
    decorators = [ast.unparse(each) for each in node.decorator_list if "dataclass" in ast.unparse(each)]
    if not decorators or any("kw_only=True" in each for each in decorators):
        return 0
    count = 0
    for field in node.body:
        if isinstance(field, ast.AnnAssign):
            text = ast.unparse(field)
            if "KW_ONLY" in text:
                break
            count += not ("init=False" in text or "kw_only=True" in text or "ClassVar" in text)
    return count


def test_a_class_name_stands_once() -> None:
    names = Counter(node.name for _, node in classes())
    assert len(names) > 300
    assert {name for name, times in names.items() if times > 1} == set()


def test_fields_that_follow_one_another_are_named() -> None:
    assert [where for where, node in classes() if positional_fields(node) > MOST_POSITIONAL] == []


def test_the_count_itself() -> None:
    def count(source: str) -> int:
        (node,) = ast.parse(source).body
        assert isinstance(node, ast.ClassDef)
        return positional_fields(node)

    fields = "a: int\n    b: int\n    c: int = 0\n    d: int = field(init=False)\n"
    assert count(f"@dataclass(frozen=True)\nclass A:\n    {fields}") == 3
    assert count(f"@dataclass(kw_only=True)\nclass A:\n    {fields}") == 0
    assert count("@dataclass\nclass A:\n    a: int\n    _: KW_ONLY\n    b: int\n") == 1
    assert count(f"class A:\n    {fields}") == 0
