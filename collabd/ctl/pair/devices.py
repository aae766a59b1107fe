"""The companion's list of devices."""

from __future__ import annotations

from pathlib import Path

from collabd.ctl.command import Failure
from collabd.ctl.pair.options import server_of
from collabd.ctl.pair.places import Place


def token_file(place: Place) -> Path:
    """The path of the list: the configured one, else the one where `pair` will write it."""
    return Path(server_of(place).token_file or place.folder / "tokens")


def names(path: Path) -> list[str]:
    """The devices that have a token. Raises `Failure`."""
    from collabd.keys.files import KeyProblem
    from collabd.keys.tokens import read_tokens

    if not path.exists():
        return []
    try:
        return read_tokens(str(path)).names
    except KeyProblem as problem:
        raise Failure(str(problem)) from None


def without(text: str, device: str) -> str:
    """The file's text without the line of this device."""
    return "".join(line for line in text.splitlines(keepends=True) if line.split()[:1] != [device])
