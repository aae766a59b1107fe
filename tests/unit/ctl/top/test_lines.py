"""Lines of text with styles."""

from __future__ import annotations

import pytest

from collabd.ctl.top.grid import Grid, GridColumn, figures_column
from collabd.ctl.top.lines import ScreenLine, Style, spread, wrapped


def test_a_line_that_does_not_fit_ends_with_a_sign_of_it() -> None:
    line = ScreenLine.of("abc", Style.STRONG).add("defg", Style.BAD)
    assert line.cut(7, "…") is line
    assert line.cut(5, "…").pieces == [("abc", Style.STRONG), ("d", Style.BAD), ("…", Style.BAD)]
    assert line.cut(1, "…").plain == "…"


def test_a_line_is_as_wide_as_a_terminal_shows_it() -> None:
    wide = ScreenLine.of("門口 1")
    assert wide.width == 6
    assert [wide.cut(width, "…").plain for width in (6, 5, 4)] == ["門口 1", "門口…", "門 …"]
    assert wide.fitted(8, "…", "right").plain == "  門口 1"


@pytest.mark.parametrize(("width", "shown"), [(12, "left   right"), (10, "left right"), (9, "le… right"), (5, "left…")])
def test_the_left_of_two_lines_gives_way(width: int, shown: str) -> None:
    left = ScreenLine.of("left" if width > 5 else "left of it")
    assert spread(left, ScreenLine.of("right"), width, more="…").plain == shown


def test_text_is_wrapped_below_its_own_beginning() -> None:
    lines = wrapped("  do this and that", 10, most=2, more="…", style=Style.BAD)
    assert [line.plain for line in lines] == ["  do this", "  and that"]
    assert wrapped("  do this and that", 10, most=1, more="…")[0].plain == "  do this…"
    assert wrapped("unbreakable", 6, most=3, more="…")[0].plain == "unbre…"


def test_cells_stand_below_their_headings() -> None:
    grid = Grid((GridColumn("name", 6), figures_column("ms", 4)), "…", indent=1)
    assert grid.headings().plain == " name      ms"
    assert grid.row(["nanodet", ScreenLine.of("12.5", Style.BAD)]).plain == " nanod…  12.5"
    assert grid.width == grid.headings().width
