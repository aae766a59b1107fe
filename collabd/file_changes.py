"""Tells when files change, for daemons that nobody sends a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

# Looking takes one system call for each file. A network file system may show a change a few seconds later by itself.
_EVERY_S = 2.0
# What tells a file from the one that was there before; None: there is none that can be looked at.
_Stamp: TypeAlias = tuple[int, int, int] | None


class FileChanges:
    """Changes of `files` since this was made. It looks every `every_s` seconds."""

    def __init__(self, files: Sequence[Path], *, every_s: float = _EVERY_S) -> None:
        self.files = files
        self._every_s = every_s
        self._seen = self._stamps()

    async def next(self) -> None:
        """Wait until one of them has changed since the change before."""
        while True:
            await asyncio.sleep(self._every_s)
            # A network file system may take its time.
            stamps = await asyncio.to_thread(self._stamps)
            if stamps != self._seen:
                self._seen = stamps
                return

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(file) for file in self.files]


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    # A file that was repaired by chmod has changed, too.
    return found.st_ino, found.st_ctime_ns, found.st_size
