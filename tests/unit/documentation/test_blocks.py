"""It is known of every block of the documentation how it is checked."""

from __future__ import annotations

import re

import pytest

from tests.pages import BLOCKS, CHECKOUT, PAGES, Block

LANGUAGES = {"sh", "console", "toml", "yaml", "python", "text"}
COMMANDS = {"sh", "console"}


@pytest.mark.parametrize("page", PAGES)
def test_code_stands_in_fences_with_a_language(page: str) -> None:
    """An indented block, or a fence within a list, would go unseen."""
    fences = re.findall(r"^( *)```", PAGES[page], re.MULTILINE)
    assert set(fences) <= {""}
    assert len(fences) == 2 * sum(block.page == page for block in BLOCKS)
    outside = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\n {4}(?![-*\d ]).*", outside, re.MULTILINE) == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_has_a_kind(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.kind in {"", "run", "test", "not run", "of"}
    if block.language in COMMANDS:
        assert block.kind in {"run", "test", "not run"}, "commands are run, or it is said why not"
    if block.kind in {"not run", "of"}:
        assert block.about
    if block.prints:
        assert block.kind in {"run", "test"} or block.page == "docs/mathematics.md"


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.kind == "test"], ids=str)
def test_a_test_that_is_named_takes_the_block_from_the_page(block: Block) -> None:
    for named in block.about.split(", "):
        source = (CHECKOUT / named).read_text()
        assert "tests.pages" in source or block.page in source


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.kind == "not run"], ids=str)
def test_tests_that_a_reason_names_exist(block: Block) -> None:
    for named in re.findall(r"tests/[\w/]+(?:\.py)?", block.about):
        assert (CHECKOUT / named).exists(), named
