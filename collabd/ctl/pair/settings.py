"""Changes settings in a TOML file that a person wrote, and leaves everything else as it is, comments too."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from collabd.ctl.command import Failure

_HEADER = re.compile(r"\s*(\[\[?[^\]]+\]\]?)\s*(#.*)?")

Values = Mapping[str, str | bool]


def changed(text: str, header: str, values: Values, *, index: int = 0) -> str:
    """`text` with these values in the table that opens with the line `header`, the `index`th such; added if missing.

    Raises `Failure`, with what to write by hand, where the file has the table in another form.
    """
    lines = text.splitlines(keepends=True)
    start, end = _span(lines, header, index)
    if start is None:
        wanted = f"{text.rstrip()}\n\n" if text.strip() else ""
        result = f"{wanted}{header}\n{_written(values)}"
    else:
        section = lines[start:end]
        # In reverse order, because each new setting may go to the top of the table.
        for key in reversed([*values]):
            _set(section, key, values[key])
        result = "".join([*lines[:start], *section, *lines[end:]])
    if not _is_right(text, result, header=header, values=values, index=index):
        raise Failure(f"cannot change the settings: write below {header} yourself: {'; '.join(_lines(values))}")
    return result


def _span(lines: list[str], header: str, index: int) -> tuple[int | None, int]:
    """The lines of the table, beginning with its header."""
    opened = [number for number, line in enumerate(lines) if _HEADER.fullmatch(line.rstrip("\r\n"))]
    named = [number for number in opened if _name(lines[number]) == header]
    if index >= len(named):
        return None, len(lines)
    return named[index], next((number for number in opened if number > named[index]), len(lines))


def _name(line: str) -> str:
    return re.sub(r"\s", "", line.partition("#")[0])


def _set(section: list[str], key: str, value: str | bool) -> None:
    """Put the setting in place of its present line; else below the comment that shows its default; else at the top."""
    (written,) = _lines({key: value})
    for pattern, keep in ((rf"\s*{key}\s*=", False), (rf"\s*#\s*{key}\s*=", True)):
        for number, line in enumerate(section):
            if re.match(pattern, line):
                section[number] = (line if line.endswith("\n") else f"{line}\n") * keep + written + "\n"
                return
    if not section[0].endswith("\n"):
        section[0] += "\n"
    section.insert(1, written + "\n")


def _lines(values: Values) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _written(values: Values) -> str:
    return "".join(f"{line}\n" for line in _lines(values))


def _is_right(before: str, after: str, *, header: str, values: Values, index: int) -> bool:
    """Whether only these values differ, according to the TOML parser: the patterns above do not know all of TOML."""
    wanted = tomllib.loads(before)
    name = header.strip("[]")
    try:
        if header.startswith("[["):
            tables: list[dict[str, Any]] = wanted.setdefault(name, [])
            if index == len(tables):
                tables.append({})
            tables[index] |= values
        else:
            wanted.setdefault(name, {}).update(values)
        return tomllib.loads(after) == wanted
    except (tomllib.TOMLDecodeError, AttributeError, IndexError, TypeError):
        return False
