"""A stored model, as an open file from which weights are read when they are needed."""

from __future__ import annotations

import os
import weakref
import zlib
from dataclasses import dataclass
from pathlib import Path

from .errors import PartitionError


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Neighbouring bytes of a model file."""

    file: ModelFile
    offset: int
    size: int
    checksum: int

    def read(self) -> bytes:
        """The bytes as they were when the model was loaded; PartitionError if the file holds others now."""
        found = self.file.read(self.offset, self.size)
        if zlib.crc32(found) != self.checksum:
            raise PartitionError(f"{self.file.path} was changed while its network was in use: restart the daemon")
        return found


class ModelFile:
    """Open as long as a weight refers to it, so that it can be read after its package is replaced or removed."""

    def __init__(self, path: Path) -> None:
        """Open it; OSError if that fails."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def content(self) -> bytes:
        """All of it."""
        return self.read(0, os.fstat(self._descriptor).st_size)

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there on, or those that there are."""
        return os.pread(self._descriptor, size, offset)


class Search:
    """Finds where in `file` the values of tensors lie. They are asked for in the order of the file."""

    def __init__(self, file: ModelFile, content: bytes) -> None:
        self._file = file
        self._content = content
        self._behind = 0

    def stretch(self, values: bytes) -> Stretch | None:
        """The bytes of the file that are these values. It does not matter which, if several are."""
        offset = self._content.find(values, self._behind)
        if offset < 0:
            return None
        self._behind = offset + len(values)
        return Stretch(file=self._file, offset=offset, size=len(values), checksum=zlib.crc32(values))
