"""The settings of both daemons: names, types, bounds and defaults from the types, prose from the installed files."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from collabd.config import CloudConfig, DeviceConfig
from handbook.markdown import code

ROOT = Path(__file__).parents[1]
FILES: dict[str, type[msgspec.Struct]] = {"collabd.toml": DeviceConfig, "collab-cloudd.toml": CloudConfig}

_Items = list[tuple[list[str], list[str]]]


@dataclass(frozen=True)
class Setting:
    """A setting as its type has it. `table`: "" at the top of the file, else such as "planning"."""

    table: str
    name: str
    kind: str
    required: bool

    @property
    def key(self) -> str:
        """As messages name it."""
        return f"{self.table}.{self.name}".removeprefix(".")


def settings_of(kind: type[msgspec.Struct], table: str = "") -> Iterator[Setting]:
    """All settings of a configuration; those of [[tables]] under the name of the table."""
    types = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        expected = types[field.name]
        if struct := _struct(expected):
            yield from settings_of(struct, field.encode_name)
        else:
            yield Setting(table, field.encode_name, _kind(expected), field.required)


def page() -> str:
    """All settings, by file and table."""
    return "\n".join(_file(name, kind) for name, kind in FILES.items())


def prose(name: str) -> dict[str, tuple[str, str]]:
    """By key: the default as the installed file shows it, and what the file says of the setting."""
    parse: Callable[[list[str]], tuple[str, _Items]] = runpy.run_path(str(ROOT / "packaging/man/settings.py"))["parse"]
    _, *paragraphs = (ROOT / "etc" / name).read_text(encoding="utf-8").strip().split("\n\n")
    found = {}
    for paragraph in paragraphs:
        opened, items = parse(paragraph.splitlines())
        table = opened.strip("[]")
        for said, settings in items:
            for setting in settings:
                key, _, value = setting.partition(" = ")
                found[f"{table}.{key}".removeprefix(".")] = value, " ".join(said)
    return found


def tables(name: str) -> dict[str, str]:
    """By table: what the installed file says of it as a whole."""
    parse: Callable[[list[str]], tuple[str, _Items]] = runpy.run_path(str(ROOT / "packaging/man/settings.py"))["parse"]
    _, *paragraphs = (ROOT / "etc" / name).read_text(encoding="utf-8").strip().split("\n\n")
    opened = (parse(paragraph.splitlines()) for paragraph in paragraphs)
    return {
        table: " ".join(" ".join(said) for said, settings in items if said and not settings)
        for table, items in opened
        if table
    }


def _file(name: str, kind: type[msgspec.Struct]) -> str:
    told, about = prose(name), tables(name)
    lines = [f"## {name}", ""]
    last: str | None = None
    pending = ""
    for setting in settings_of(kind):
        if setting.table != last:
            lines += [pending, ""] if pending else []
            pending = ""
            last = setting.table
            title = next((table for table in about if table.strip("[]") == last), "") if last else "At the top"
            anchor = f"{name.removesuffix('.toml')}-{last or 'top'}"
            lines += [f"### {title} {{: #{anchor} }}", "", *([about[title], ""] if about.get(title) else [])]
        value, said = told[setting.key]
        if said != pending and pending:
            lines += [pending, ""]
        pending = said
        must = ", must be stated; such as" if setting.required else ", default"
        anchor = f"{name.removesuffix('.toml')}.{setting.key}"
        lines += [f"#### {setting.name} {{: #{anchor} }}", "", f"{setting.kind}{must} {code(value)}", ""]
    return "\n".join([*lines, pending, ""])


def _struct(expected: Any) -> type[msgspec.Struct] | None:
    """The table, or the table of a list, that a type stands for."""
    for each in (expected, *get_args(expected)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _kind(expected: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Annotated:
        return _kind(inner[0]) + "".join(_bounds(meta) for meta in inner[1:])
    if origin in {Union, UnionType}:
        return " or ".join(_kind(each) for each in inner if each is not NoneType)
    if origin is Literal:
        return "one of " + ", ".join(code(str(each)) for each in inner)
    if origin is tuple:
        return f"list: {_kind(inner[0])}"
    if issubclass(expected, Enum):
        return "one of " + ", ".join(code(str(each.value)) for each in expected)
    return {bool: "true or false", int: "integer", float: "number", str: "text"}[expected]


def _bounds(meta: msgspec.Meta) -> str:
    least = f"at least {meta.ge}" if meta.ge is not None else f"over {meta.gt}" if meta.gt is not None else ""
    most = f"at most {meta.le}" if meta.le is not None else f"under {meta.lt}" if meta.lt is not None else ""
    bounds = [each for each in (least, most) if each]
    return f", {' and '.join(bounds)}" if bounds else ""
