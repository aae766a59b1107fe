"""What the daemon remembers of the models that Frigate sent, over restarts too: a file for each."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from collabd.atomic_file import replace_file
from collabd.catalog.package.sent_detector import SentDetector

log = logging.getLogger(__name__)


class KeptModel(msgspec.Struct, frozen=True):
    """A model that Frigate sent: the digest of the package that was made of it, and what it was taken for."""

    digest: str
    taken: SentDetector


class Keeping:
    """The notes in `directory`, one for each model's name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, name: str, digest: str) -> KeptModel | None:
        """What is known of the package of this name and digest; None: Frigate did not send it."""
        try:
            kept = msgspec.json.decode(self._path(name).read_bytes(), type=KeptModel)
        except (OSError, msgspec.DecodeError):
            return None
        return kept if kept.digest == digest else None

    def add(self, name: str, kept: KeptModel) -> None:
        """Note it. Raises `OSError`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        replace_file(self._path(name), msgspec.json.encode(kept))

    def used(self, name: str) -> None:
        """It is asked for now."""
        try:
            os.utime(self._path(name))
        except OSError as error:
            log.warning("%s: cannot note that it was used: %s", self._path(name), error)

    def names(self) -> list[str]:
        """The names of which something is known, least recently used first."""
        if not self.directory.is_dir():
            return []
        return [path.stem for path in sorted(self.directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)]

    def forget(self, name: str) -> None:
        """Know nothing of it."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"
