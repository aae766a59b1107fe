"""The events in the journal: their identifiers from the code, their explanations from the catalogue of systemd."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
PACKAGE = _ROOT / "collabd"
CATALOGUE = _ROOT / "packaging/systemd/collabd.catalog"
_CONSTANT = re.compile(r'^([A-Z_]+) = "([0-9a-f]{32})"', re.MULTILINE)
_ENTRY = re.compile(r"^-- ([0-9a-f]{32})\n(.*?)\n\n(.*?)(?=^-- |\Z)", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"@(COLLABD_\w+)@")
_SUBJECT = re.compile(r"^Subject: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Event:
    """An entry of the catalogue. `fields`: those of the journal's entry that the explanation uses."""

    message_id: str
    subject: str
    text: str
    fields: tuple[str, ...]


def catalogue() -> list[Event]:
    """All that is explained."""
    return [
        Event(message_id, _subject(head), text.strip(), tuple(dict.fromkeys(_FIELD.findall(head + text))))
        for message_id, head, text in _ENTRY.findall(CATALOGUE.read_text(encoding="utf-8"))
    ]


@cache
def names() -> Mapping[str, str]:
    """By identifier: the name of the constant in the code of the daemons."""
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return {identifier: name for source in sources for name, identifier in _CONSTANT.findall(source)}


def page() -> str:
    """All events, with their explanations."""
    known = names()
    return "\n".join(
        f"## {known[event.message_id].replace('_', ' ').capitalize()}\n\n"
        f"```console\n$ journalctl MESSAGE_ID={event.message_id}\n```\n\n"
        f"*{_spoken(event.subject)}.*\n\n{_spoken(event.text)}\n\n"
        f"Fields: {', '.join(f'`{field}`' for field in event.fields) or 'none'}.\n"
        for event in catalogue()
    )


def _subject(head: str) -> str:
    found = _SUBJECT.search(head)
    return found[1] if found else ""


def _spoken(text: str) -> str:
    """The text with its fields as words: "@COLLABD_MODEL@" is MODEL."""
    return _FIELD.sub(lambda field: f"`{field[1].removeprefix('COLLABD_')}`", text)
