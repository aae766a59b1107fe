"""Shared packages in a directory that all companions mount."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from collabd.catalog.package.package import Package
from collabd.catalog.store.bundle import is_digest, pack

log = logging.getLogger(__name__)

_SUFFIX = ".tar"
_UNFINISHED = ".new-"


class SharedDirectory:
    """The archives in `directory`, which together take at most `most_bytes`. The least recently used ones go."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._most_bytes = most_bytes

    def check(self) -> None:
        """Log whether packages can be shared here."""
        if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
            log.error("packages are not shared: %s is no directory that this daemon can write", self._directory)

    def put(self, package: Package) -> None:
        """Keep an archive of a package that passed its checks. If that fails, it is logged: this is only a copy."""
        path = self._path(package.digest)
        try:
            if not path.exists():
                archive = pack(package)
                self._make_room(len(archive))
                self._write(path, archive)
        except OSError as error:
            log.warning("%s is not shared with other companions: %s", package.digest, error)

    def get(self, digest: str, most_bytes: int) -> bytes | None:
        """The archive of the package of this digest; None: it is not here, too large, or cannot be read."""
        if not is_digest(digest):
            return None
        path = self._path(digest)
        try:
            with path.open("rb") as file:
                data = file.read(most_bytes + 1)
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be had from other companions: %s", digest, error)
            return None
        return data if len(data) <= most_bytes else None

    def discard(self, digest: str) -> None:
        """Delete an archive that failed its checks, so that a device can push a sound one."""
        with suppress(OSError):
            self._path(digest).unlink()

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest.replace(':', '-')}{_SUFFIX}"

    def _write(self, path: Path, archive: bytes) -> None:
        """All of it or nothing, however many companions do so at the same time."""
        descriptor, written = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                # The companions may be different users, of one group.
                os.fchmod(descriptor, 0o660)
                file.write(archive)
                file.flush()
                os.fsync(file.fileno())
            Path(written).replace(path)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise

    def _make_room(self, nbytes: int) -> None:
        kept = sorted(self._kept())
        total = nbytes + sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if total <= self._most_bytes:
                return
            # Another companion may have done the same.
            path.unlink(missing_ok=True)
            total -= size

    def _kept(self) -> Iterator[tuple[int, int, Path]]:
        """When each was last used, its bytes, and its path; also what companions that died left unfinished."""
        for entry in os.scandir(self._directory):
            with suppress(FileNotFoundError):
                if entry.name.endswith(_SUFFIX) or entry.name.startswith(_UNFINISHED):
                    status = entry.stat()
                    yield status.st_mtime_ns, status.st_size, Path(entry.path)
