"""The files of the page, as they lie in web/."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
INDEX = "index.html"


class Asset(NamedTuple):
    """A file and its media type."""

    body: bytes
    kind: str


def read_assets() -> dict[str, Asset]:
    """All files that browsers need, by their paths below the page's own. "": the page itself."""
    found = {
        name: Asset(file.read_bytes(), kind)
        for name, file in _below("", files(__package__) / "web")
        if (kind := _KINDS.get(name.rpartition(".")[2])) is not None
    }
    found[""] = found.pop(INDEX)
    return found


def _below(prefix: str, folder: Traversable) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        found += _below(f"{name}/", entry) if entry.is_dir() else [(name, entry)]
    return found
