"""Figures that are told a second time are those that were measured."""

from __future__ import annotations

import re

import pytest

from tests.pages import PAGES

_FIGURE = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")
MEASURED = set(_FIGURE.findall(PAGES["docs/performance.md"]))
ROUNDED = {str(round(float(figure))) for figure in MEASURED}


@pytest.mark.parametrize("section", ["## A plain server with a JPEG", "## int8 on the Pi by itself"])
def test_the_comparison_tells_what_performance_md_has(section: str) -> None:
    page = PAGES["docs/alternatives.md"]
    text = page[page.index(section) :].split("\n## ")[0].removeprefix(section)
    figures = _FIGURE.findall(text)
    assert len(figures) > 5
    assert set(figures) - MEASURED - ROUNDED == set()
