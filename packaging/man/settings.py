"""The manual page of a configuration file, from the file that is installed, so that each setting is described once.

`settings.py PAGE.in FILE.toml` prints the page: "@settings@" in it becomes the settings with their comments.
In the file a line "# text" is prose, and "#key = value" a setting that is commented out. Prose is about the settings
that follow it; a blank line ends a paragraph.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

_TABLE = re.compile(r"#?(\[+[a-z_]+\]+)")
_SETTING = re.compile(r"#?([a-z_]+ = .+)")
_SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z`])")


def main(page: str, toml: str) -> None:
    """Print the page."""
    settings = "\n".join(mdoc(Path(toml).read_text(encoding="utf-8")))
    sys.stdout.write(Path(page).read_text(encoding="utf-8").replace("@settings@", settings))


def mdoc(toml: str) -> Iterator[str]:
    """The settings as lines of mdoc(7). The first paragraph is about the file as such, and left out."""
    yield ".Sh SETTINGS"
    _, *paragraphs = toml.strip().split("\n\n")
    for paragraph in paragraphs:
        table, items = parse(paragraph.splitlines())
        if table:
            yield f".Ss {_escaped(table)}"
        yield from _render(items)


def parse(lines: list[str]) -> tuple[str, list[tuple[list[str], list[str]]]]:
    """The table that a paragraph opens ("": none), and its items: prose, and the settings that it is about."""
    table = ""
    items: list[tuple[list[str], list[str]]] = [([], [])]
    for line in lines:
        if opened := _TABLE.fullmatch(line):
            table = opened[1]
            items.append(([], []))
        elif setting := _SETTING.fullmatch(line):
            items[-1][1].append(setting[1])
        else:
            if items[-1][1]:
                items.append(([], []))
            items[-1][0].append(line.removeprefix("#").strip())
    return table, items


def _render(items: list[tuple[list[str], list[str]]]) -> Iterator[str]:
    for prose in (prose for prose, settings in items if not settings):
        yield from _prose(prose)
    yield ".Bl -tag -width Ds"
    for prose, settings in ((prose, settings) for prose, settings in items if settings):
        yield from (f'.It Ic "{_escaped(setting)}"' for setting in settings)
        yield from _prose(prose)
    yield ".El"


def _prose(lines: list[str]) -> Iterator[str]:
    for sentence in _SENTENCE.split(" ".join(lines)):
        yield from textwrap.wrap(_escaped(sentence), 78, break_long_words=False, break_on_hyphens=False)


def _escaped(text: str) -> str:
    for plain, escape in (("\\", r"\e"), ('"', r"\(dq"), ("[", r"\(lB"), ("]", r"\(rB")):
        text = text.replace(plain, escape)
    return re.sub(r"^(?=[.'])", r"\\&", re.sub(r"`([^`]*)`", r"\\(oq\1\\(cq", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
