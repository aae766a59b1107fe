"""Tables of all sorts of content in terminals of all widths: nothing is broken up, and what is left out is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from collabd.ctl.tables import Table

NAMES = st.text("abcdefgh/._", min_size=1, max_size=70)
FIGURES = st.sampled_from(("-", "0.79", "12.2", "1234", "97.3k"))
WORDS = st.text("ijklmnop:", min_size=1, max_size=70)
PROSE = st.lists(WORDS, max_size=12).map(" ".join)
ROWS = st.lists(st.tuples(NAMES, FIGURES, FIGURES, FIGURES, PROSE), min_size=1, max_size=5)


def lines(table: Table, width: int) -> list[str]:
    """What a terminal of this width shows."""
    screen = Console(width=width, markup=False, emoji=False, highlight=False, color_system=None)
    with screen.capture() as captured:
        screen.print(table, crop=False)
    return [line.rstrip() for line in captured.get().splitlines()]


def table(rows: Sequence[tuple[str, ...]]) -> Table:
    built = Table("name", ">rtt ms", ">down Mbit/s", ">queue ms", "said", spare=("queue ms",), long_last=True)
    for row in rows:
        built.add_row(*row)
    return built


@given(ROWS, st.integers(80, 200))
def test_every_word_is_whole_and_no_line_is_too_long(rows: list[tuple[str, ...]], width: int) -> None:
    shown = lines(table(rows), width)
    assert max(map(len, shown)) <= width
    words = Counter(" ".join(shown).split())
    # All but the column that may be left out.
    assert Counter(" ".join(part for row in rows for part in (*row[:3], row[4])).split()) <= words


def test_all_on_one_line_where_there_is_room() -> None:
    assert lines(table([("pc", "0.79", "12.2", "0.00", "all is well")]), 80) == [
        "name  rtt ms  down Mbit/s  queue ms  said",
        "pc      0.79         12.2      0.00  all is well",
    ]


def test_headings_stand_in_several_lines_before_anything_is_left_out() -> None:
    assert lines(table([("pc", "0.79", "12.2", "0.00", "all is well")]), 44) == [
        "       rtt    down  queue",
        "name    ms  Mbit/s     ms  said",
        "pc    0.79    12.2   0.00  all is well",
    ]


def test_long_text_wraps_at_its_words_beside_its_row() -> None:
    said = "this is more than there is room for beside the row"
    assert lines(table([("pc", "0.79", "12.2", "0.00", said)]), 60) == [
        "       rtt    down  queue",
        "name    ms  Mbit/s     ms  said",
        "pc    0.79    12.2   0.00  this is more than there is room",
        "                           for beside the row",
    ]


def test_long_text_without_room_stands_below() -> None:
    url = "https://companion.example.org:8470"
    assert lines(table([("pc", "0.79", "12.2", "0.00", url)]), 44) == [
        "       rtt    down  queue",
        "name    ms  Mbit/s     ms",
        "pc    0.79    12.2   0.00",
        f"    {url}",
    ]


def test_what_is_short_stays_while_other_columns_go() -> None:
    assert lines(table([("companion", "0.79", "12.2", "0.00", "well")]), 35)[:3] == [
        "            rtt    down",
        "name         ms  Mbit/s  said",
        "companion  0.79    12.2  well",
    ]


def test_a_long_name_stands_above_its_row_alone() -> None:
    name = "blocks.11.project.norm.and.more"
    rows = [("pc", "0.79", "12.2", "0.00", "well"), (name, "1.00", "2.00", "3.00", "")]
    assert lines(table(rows), 44) == [
        "       rtt    down  queue",
        "name    ms  Mbit/s     ms  said",
        "pc    0.79    12.2   0.00  well",
        name,
        "      1.00    2.00   3.00",
    ]


def test_what_is_left_out_is_named() -> None:
    assert lines(table([("companion", "0.79", "12.2", "0.00", "")]), 28)[-4:] == [
        "companion  0.79    12.2",
        "Not shown for want of room:",
        "queue ms ('| less -S' or",
        "--json shows all).",
    ]


def test_without_headings_there_are_no_lines_for_them() -> None:
    built = Table("", "", long_last=True, least_name=9)
    built.add_row("plan", "all on the device")
    assert lines(built, 80) == ["plan       all on the device"]
