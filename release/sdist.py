"""The archive of sources that setuptools makes holds when and by whom it was made; this one does not."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path


def normalise(path: Path, epoch_s: int) -> None:
    """Pack a `.tar.gz` anew: in order, all of one time and owner, readable by all."""
    with tarfile.open(path) as before:
        contents = [(member, _content(before, member)) for member in before]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member, content in sorted(contents, key=lambda each: each[0].name):
            after.addfile(_normal(member, epoch_s), io.BytesIO(content))
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch_s) as packed:
        packed.write(tar.getvalue())


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isfile() else None
    return file.read() if file is not None else b""


def _normal(member: tarfile.TarInfo, epoch_s: int) -> tarfile.TarInfo:
    if not (member.isfile() or member.isdir()):
        raise ValueError(f"{member.name} is a link or a device, which a source archive should not have")
    normal = tarfile.TarInfo(member.name)
    normal.type, normal.size, normal.mtime = member.type, member.size, epoch_s
    normal.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return normal
