"""Tallies kept over restarts: one JSON file for each package. Counts alone are stored, never a picture."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from collabd.atomic_file import UNFINISHED, replace_file
from collabd.device.fidelity.row import Row
from collabd.device.fidelity.tally import RowTally

_log = logging.getLogger(__name__)
# So many packages are remembered; those whose tallies were not written for longest are forgotten.
_KEPT = 100
# A file holds a few kB. A larger one was not written by this module.
_MOST_BYTES = 1 << 20

_Count = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _StoredRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    row: Row
    agreed: _Count
    images: _Count
    packaged: _Share


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: str
    rows: tuple[_StoredRow, ...]
    # Of a classifier: how many of the pictures were of each class.
    classes: dict[int, _Count]


@dataclass(kw_only=True)
class Tallies:
    """Those of one package: by row, and of classifiers how many pictures were of each class."""

    rows: dict[Row, RowTally]
    classes: dict[int, float]


def content(digest: str, tallies: Tallies) -> bytes:
    """The tallies of a package as they are stored."""
    rows = tuple(_StoredRow(row, each.agreed, each.images, each.packaged) for row, each in tallies.rows.items())
    return msgspec.json.encode(_Stored(digest, rows, tallies.classes))


def write(digest: str, content: bytes, directory: Path) -> None:
    """Write the `content` for a package in place of the older one, whole or not at all. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / _file_name(digest), content)
    _prune(directory)


def load(digest: str, directory: Path) -> Tallies:
    """The tallies of a package; none if there are none that can be read."""
    path = directory / _file_name(digest)
    try:
        stored = _read(path)
    except FileNotFoundError:
        return Tallies(rows={}, classes={})
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        _log.warning("cannot use the counted fidelity in %s, so it is counted anew: %s", path, error)
        return Tallies(rows={}, classes={})
    rows = {each.row: RowTally(agreed=each.agreed, images=each.images, packaged=each.packaged) for each in stored.rows}
    return Tallies(rows=rows, classes=dict(stored.classes))


def _read(path: Path) -> _Stored:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    stored = msgspec.json.decode(content, type=_Stored)
    if any(each.agreed > each.images for each in stored.rows):
        raise ValueError("more pictures agreed than there were")
    return stored


def _prune(directory: Path) -> None:
    files = sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in (*files[:-_KEPT], *directory.glob(f"{UNFINISHED}*")):
        path.unlink(missing_ok=True)


def _file_name(digest: str) -> str:
    return hashlib.sha256(digest.encode()).hexdigest()[:32] + ".json"
