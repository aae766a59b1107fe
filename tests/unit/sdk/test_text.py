"""Text from elsewhere: what a terminal or a log would obey is gone, and words stay as they are."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_sdk import wire
from collab_sdk.errors import InvalidPackage
from collab_sdk.text import plain, plain_values

# Formatting characters that words are written with: the joiners of emoji and of Persian, the soft hyphen.
HARMLESS = {"Cf"}
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tabby, tabby cat", "tabby, tabby cat"),
        ("  [red] %s {x} ", "  [red] %s {x} "),
        ("Schäferhund 犬 گربه‌ها 👩‍🔬", "Schäferhund 犬 گربه‌ها 👩‍🔬"),
        ("", ""),
        ("\x1b[2J\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07a", "a"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\a\x1b_b\x9cc\x1bcd\x1b(Be", "acde"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
        ("\x9b2Ja", "2Ja"),
        ("a\bb\x00c\x7fd\x85e", "abcd; e"),
        ("one\r\ntwo\n\n three \u2028four\u2029", "one; two; three; four"),
        ("n01\ttench", "n01 tench"),
        ("gpj\u202egnp.exe\u2066\u200e", "gpjgnp.exe"),
        ("half \ud83d of it", "half  of it"),
        ("\x1b\x1b[31m[31m", "[31m"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(
    st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L", "P"])) | st.text("\x1b[]0;m\x07\\P_a\n\x9b")
)
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    shown = plain(text)
    assert all(each.isprintable() or unicodedata.category(each) in HARMLESS for each in shown)
    assert not TURNING & set(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert plain(shown) == shown


def test_values_within_a_report() -> None:
    report: Any = {"a\x1b": ["x\ny", 1, None, {"b": "\x1b[2Jz"}], "c": True}
    assert plain_values(report) == {"a": ["x; y", 1, None, {"b": "z"}], "c": True}


def test_an_error_is_one_plain_line_wherever_it_comes_from() -> None:
    for error in (
        InvalidPackage("\x1b[2Jnot\nsound", {"why": "\x1b[31mred", "bytes": 3}),
        wire.decode_error(400, wire.encode_error(InvalidPackage("not\nsound"))),
        wire.decode_error(502, b"\x1b]0;x\x07<html>\r\n502"),
    ):
        assert str(error).isprintable()
        assert plain_values(error.details) == error.details
