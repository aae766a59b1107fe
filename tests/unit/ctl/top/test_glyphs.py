"""Pictures in text, in the characters that a terminal has."""

from __future__ import annotations

import pytest

from collab_sdk.vocabulary import PlanKind
from collabd.ctl.top.glyphs import ASCII, UNICODE, Canvas, glyphs_of, network_bar, sparkline

NARROW = Canvas(4, UNICODE)


@pytest.mark.parametrize(
    ("environment", "codeset", "is_unicode"),
    [
        ({"LANG": "en_GB.UTF-8"}, "UTF-8", True),
        ({"LANG": "C.utf8"}, "UTF-8", True),
        ({"LANG": "C", "LC_ALL": "de_DE.UTF-8"}, "UTF-8", True),
        # Python's own, in the locale C: https://peps.python.org/pep-0538/.
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "UTF-8", False),
        ({"LC_CTYPE": "C.UTF-8"}, "UTF-8", False),
        ({"LANG": "en_GB.UTF-8", "LC_CTYPE": "C.UTF-8"}, "UTF-8", True),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, "ANSI_X3.4-1968", False),
        # A locale that this machine does not have.
        ({"LC_ALL": "xx_XX.UTF-8"}, "ANSI_X3.4-1968", False),
        ({"LANG": "de_DE.ISO-8859-1"}, "ISO-8859-1", False),
        ({}, "ANSI_X3.4-1968", False),
    ],
)
def test_only_a_locale_of_utf_8_gets_blocks(environment: dict[str, str], codeset: str, is_unicode: bool) -> None:
    assert glyphs_of(environment, codeset) is (UNICODE if is_unicode else ASCII)


def test_ascii_is_ascii() -> None:
    assert all(text.isascii() for text in vars(ASCII).values())
    assert {len(glyphs.levels) for glyphs in (ASCII, UNICODE)} == {8}


def test_the_newest_value_is_at_the_right_and_what_was_not_measured_is_a_gap() -> None:
    assert sparkline([9.0, 1.0, None, 3.0, 4.0], NARROW) == "▃ ▇█"
    assert sparkline([4.0], NARROW) == "   █"
    assert sparkline([0.0, 0.0], NARROW) == "  ▁▁"
    assert sparkline([], NARROW) == "    "
    assert sparkline([1.0], Canvas(-3, UNICODE)) == ""


def test_a_sparkline_may_have_a_scale_of_its_own() -> None:
    assert sparkline([0.0, 0.5, 1.0, 1.2], NARROW, 1.0) == "▁▅██"
    assert sparkline([0.0, 0.5, 1.0, 1.2], Canvas(4, ASCII), 1.0) == "_=##"


@pytest.mark.parametrize(
    ("kind", "placement", "drawn"),
    [
        (PlanKind.SPLIT, "DDCCC", "████│░░░░░"),
        # However few they are, layers that ran are seen.
        (PlanKind.SPLIT, "D" + 90 * "C", "█│░░░░░░░░"),
        (PlanKind.SPLIT, 90 * "D" + "C", "████████│░"),
        (PlanKind.SPLIT, "DCCCCCCCD", "█│░░░░░░│█"),
        (PlanKind.IMAGE, "CCC", "│░░░░░░░░░"),
        (PlanKind.LOCAL, "DDD", "██████████"),
        # The companion was planned, and the device was first.
        (PlanKind.LOCAL, "DCC", "██████████"),
        (PlanKind.LITTLE, "DCC", "··········"),
        (PlanKind.INHERITED, "", "··········"),
        (None, "", "··········"),
        ("of a newer daemon", "DCC", "··········"),
        # More crossings than there is room for.
        (PlanKind.SPLIT, "DCDCDCDCDCDCD", "··········"),
    ],
)
def test_a_network_is_a_bar_with_its_cuts(kind: str | None, placement: str, drawn: str) -> None:
    assert network_bar(kind, placement, Canvas(10, UNICODE)).plain == drawn
