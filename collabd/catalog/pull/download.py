"""Downloads that go on where they stopped, and end with exactly the bytes that an index promised."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import TypeAlias

from collab_sdk.errors import DownloadFailed, InvalidPackage, InvalidRequest
from collabd.catalog.pull import places
from collabd.catalog.pull.index import Archive

# Is told how many bytes have come.
At: TypeAlias = Callable[[int], object]

_PART = ".part"
# Nobody goes on with what has lain for so long.
_FORGOTTEN_S = 7 * 24 * 3600.0


def cache_folder() -> Path:
    """Where unfinished downloads of this user lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "collabd")


@contextmanager
def downloaded(url: str, archive: Archive, folder: Path, *, at: At) -> Iterator[Path]:
    """The archive as a file in `folder`, which is there as long as the context lasts.

    What an earlier attempt left is used if the place can go on from there, and what this one leaves if it breaks off is
    kept for the next. Raises `DownloadFailed`, `InvalidPackage` if the bytes are others than the index promises, and
    `InvalidRequest` if another process downloads the same.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _tidy(folder)
    part = folder / f"{archive.sha256}{_PART}"
    with part.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRequest(f"another collabctl is downloading {url}: wait for it") from None
        continued = file.seek(0, os.SEEK_END) > 0
        # What was there may be of a file that has been replaced since. Then only all of it helps.
        if not (_completed(file, url, archive, at=at) or (continued and _completed(file, url, archive, at=at))):
            raise InvalidPackage(f"{url} is not what the index promises: its sha256 is another. Tell its publisher")
        yield part
        part.unlink()


def _completed(file: BufferedRandom, url: str, archive: Archive, *, at: At) -> bool:
    """Fetch what is missing; whether the whole is right. If it is not, nothing is kept."""
    size = file.seek(0, os.SEEK_END)
    if size < archive.bytes:
        size = _extended(file, url, archive, at=at)
    if size < archive.bytes:
        raise DownloadFailed(
            f"{url} ended after {size / 1e6:.1f} of {archive.bytes / 1e6:.1f} MB: run the command again to go on from "
            "there"
        )
    file.seek(0)
    if size == archive.bytes and hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256:
        return True
    file.truncate(0)
    return False


def _extended(file: BufferedRandom, url: str, archive: Archive, *, at: At) -> int:
    """Append what comes, and return the size of the file then. Not much more comes than the archive has bytes."""
    size = file.tell()
    try:
        with places.opened(url, size) as stream:
            if stream.start != size:
                size = 0
                file.truncate(0)
            for chunk in stream.chunks:
                file.write(chunk)
                size += len(chunk)
                at(size)
                if size > archive.bytes:
                    break
    finally:
        file.flush()
    return size


def _tidy(folder: Path) -> None:
    """Remove what unfinished downloads left long ago."""
    for part in folder.glob(f"*{_PART}"):
        if time.time() - part.stat().st_mtime > _FORGOTTEN_S:
            part.unlink(missing_ok=True)
