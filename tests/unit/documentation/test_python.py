"""Programs in the documentation compile, and what they import and name of ours exists. Those of the mathematics run."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import collab_sdk
from tests.pages import BLOCKS, Block

PYTHON = [block for block in BLOCKS if block.language == "python"]
# Attributes of what our classes give.
_OURS = ("collab_sdk", "collabd")


def missing(text: str) -> Iterator[str]:
    """Imports of ours that fail, and attributes of classes of ours that they do not have."""
    tree = ast.parse(text)
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _OURS:
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if hasattr(module, alias.name):
                    known[alias.asname or alias.name] = getattr(module, alias.name)
                else:
                    yield f"{node.module} has no {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in _OURS:
                    known[alias.asname or alias.name] = importlib.import_module(alias.name)
    fields = set(dir(collab_sdk.Result)) | set(collab_sdk.Result.__annotations__)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if owner == "result" and node.attr not in fields:
                yield f"Result has no {node.attr}"
            if owner in known and not hasattr(known[owner], node.attr):
                yield f"{owner} has no {node.attr}"


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_program_names_what_exists(block: Block) -> None:
    assert list(missing(block.text)) == []


def test_what_does_not_exist_is_found() -> None:
    text = "from collab_sdk import Client, Cleint\nClient.inferr\nresult.lable\n"
    assert list(missing(text)) == ["collab_sdk has no Cleint", "Client has no inferr", "Result has no lable"]


@pytest.mark.parametrize("block", [each for each in PYTHON if each.page == "docs/mathematics.md"], ids=str)
def test_the_mathematics_come_to_what_is_said(block: Block) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block.text, {})  # noqa: S102  our own text
    assert block.prints
    assert said.getvalue().splitlines() == block.prints


def test_the_factories_of_models_md_are_factories() -> None:
    """It shows functions for `collabctl models add`: a module, and inputs for one item. PyTorch is not needed."""
    (block,) = (each for each in PYTHON if each.page == "docs/models.md")
    torch = SimpleNamespace(zeros=lambda *shape: np.zeros(shape))
    made: dict[str, Any] = {"torch": torch, "Digits": object, "Crops": object}
    exec(block.text, made)  # noqa: S102  our own text
    for factory, shape in (("digits", (1, 1, 28, 28)), ("crops", (1, 4, 64, 64))):
        _, example = made[factory]()
        assert example.shape == shape
