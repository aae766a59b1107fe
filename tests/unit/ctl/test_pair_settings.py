"""Settings changed in files that somebody wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.ctl.command import Failure
from collabd.ctl.pair.settings import changed

ETC = Path(__file__).parents[3] / "etc"
KEYS = {"host": "0.0.0.0", "token_file": "keys/tokens"}  # noqa: S104


def test_in_the_shipped_file_each_stands_below_its_comment() -> None:
    before = (ETC / "collab-cloudd.toml").read_text()
    after = changed(before, "[server]", KEYS)
    assert [line for line in after.splitlines() if line not in before.splitlines()] == [
        'host = "0.0.0.0"',
        'token_file = "keys/tokens"',
    ]
    assert '#host = "127.0.0.1"\nhost = "0.0.0.0"\n' in after
    assert after.replace('\nhost = "0.0.0.0"', "").replace('\ntoken_file = "keys/tokens"', "") == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[server]\nhost = "0.0.0.0"\ntoken_file = "keys/tokens"\n'),
        ("# Mine.", '# Mine.\n\n[server]\nhost = "0.0.0.0"\ntoken_file = "keys/tokens"\n'),
        ("[server]", '[server]\nhost = "0.0.0.0"\ntoken_file = "keys/tokens"\n'),
        ('[server]\nhost="::1" # here\n', '[server]\ntoken_file = "keys/tokens"\nhost = "0.0.0.0"\n'),
        (
            "[server] # a\nport = 1\n[engine] # b\nthreads = 1\n",
            '[server] # a\nhost = "0.0.0.0"\ntoken_file = "keys/tokens"\nport = 1\n[engine] # b\nthreads = 1\n',
        ),
    ],
)
def test_nothing_else_moves(before: str, after: str) -> None:
    assert changed(before, "[server]", KEYS) == after


@pytest.mark.parametrize(
    "before",
    ["server.port = 1\n", "server = { port = 1 }\n", '[server]\nhost = """\n::1"""\n', 'x = """\n[server]\n"""\n'],
)
def test_what_has_another_form_is_left_alone_and_the_lines_are_told(before: str) -> None:
    with pytest.raises(Failure, match=r'host = "0\.0\.0\.0"; token_file = "keys/tokens"'):
        changed(before, "[server]", KEYS)


def test_a_companion_is_added_behind_the_others_or_changed_in_its_place() -> None:
    one = '[[clouds]] # the first\nname = "a"\nurl = "http://a"\nprice_per_gb = 1.0\n'
    both = changed(one, "[[clouds]]", {"name": "b", "url": "https://b"}, index=1)
    assert both == one + '\n[[clouds]]\nname = "b"\nurl = "https://b"\n'
    again = changed(both, "[[clouds]]", {"name": "a", "url": "https://a", "ca_file": "a.crt"}, index=0)
    assert tomllib.loads(again)["clouds"] == [
        {"name": "a", "url": "https://a", "price_per_gb": 1.0, "ca_file": "a.crt"},
        {"name": "b", "url": "https://b"},
    ]
    assert "# the first" in again


_LINES = st.sampled_from(
    [
        "# text",
        "",
        "[server]",
        "[engine]",
        "port = 1",
        '#host = "x"',
        'host = "y"',
        "host = [",
        "]",
        "[[clouds]]",
        'x = """',
        "[server",
    ]
)


@given(st.lists(_LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_a_file_comes_out_as_wanted_or_not_at_all(lines: list[str], end: str) -> None:
    text = end.join(lines)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # refused before anybody thinks of changing it
    try:
        after = tomllib.loads(changed(text, "[server]", KEYS))
    except Failure:
        return
    before.setdefault("server", {}).update(KEYS)
    assert after == before
