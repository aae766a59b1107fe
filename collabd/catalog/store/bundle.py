"""A model package as one run of bytes, to push it to a companion: a plain USTAR archive of its files.

`unpack` takes bytes from the network. It reads the archive block by block instead of with `tarfile`, whose formats
(links, sparse files, extended headers) are more than a package needs and more than a stranger should be offered.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from collab_sdk.errors import InvalidPackage, RequestTooLarge
from collabd.catalog.package.atomic_directory import whole_directory
from collabd.catalog.package.package import CONTENT, DIGEST, LICENCE, MANIFEST, VARIANTS, Package, load

_BLOCK = tarfile.BLOCKSIZE
_REQUIRED = (*CONTENT, DIGEST)
_FILES = (*_REQUIRED, *VARIANTS)
_SMALL = {DIGEST: 256, LICENCE: 1 << 20, MANIFEST: 1 << 20}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def pack(package: Package) -> bytes:
    """The archive of `package`; equal packages give equal bytes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in package.files:
            data = (package.path / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def unpack(
    data: bytes | memoryview, parent: Path, *, digest: str, max_bytes: int, try_out: Callable[[Path], None]
) -> Package:
    """Check an archive and keep it as a directory in `parent`; nothing is left there if it is refused.

    Raises `RequestTooLarge` above `max_bytes`, and `InvalidPackage` unless the archive holds exactly the files of a
    sound package of this `digest`, which passes `try_out`.
    """
    if len(data) > max_bytes:
        raise RequestTooLarge(f"the package has {len(data)} bytes, more than the limit of {max_bytes} bytes")
    if not is_digest(digest):
        raise InvalidPackage(f"{digest[:80]!r} is not a digest (sha256: and 64 hexadecimal digits)")
    content = _content(memoryview(data))
    target = place(parent, digest)
    with whole_directory(target) as directory:
        for name, value in content.items():
            (directory / name).write_bytes(value)
        package = _read(directory)
        if package.digest != digest:
            raise InvalidPackage(f"the package has digest {package.digest}, but it was announced as {digest}")
        try_out(directory)
    return replace(package, path=target)


def is_digest(text: str) -> bool:
    """Whether it has the form of a digest, so that it can be the name of a file."""
    return _DIGEST.fullmatch(text) is not None


def place(parent: Path, digest: str) -> Path:
    """The directory in `parent` where the package of this digest is kept."""
    return parent / digest.replace(":", "-")


def _read(directory: Path) -> Package:
    try:
        return load(directory)
    except InvalidPackage as error:
        # Paths of this machine tell the sender nothing.
        raise InvalidPackage(str(error).replace(f"{directory}/", "")) from error


def _content(archive: memoryview) -> dict[str, memoryview]:
    content: dict[str, memoryview] = {}
    for name, data in _members(archive):
        if name not in _FILES or name in content:
            raise InvalidPackage(
                f"the archive has the file {name[:80]!r}; it must have each of {', '.join(_REQUIRED)} "
                f"once, {', '.join(VARIANTS)} at most once, and no other"
            )
        if len(data) > _SMALL.get(name, len(data)):
            raise InvalidPackage(f"{name} has {len(data)} bytes, more than the limit of {_SMALL[name]} bytes")
        content[name] = data
    if missing := set(_REQUIRED) - set(content):
        raise InvalidPackage(f"the archive lacks {', '.join(sorted(missing))}")
    return content


def _members(archive: memoryview) -> Iterator[tuple[str, memoryview]]:
    """The name and data of each file. An archive ends with a block of zeros; what follows is ignored, as tar does."""
    at = 0
    while archive[at : at + _BLOCK] != bytes(_BLOCK):
        header = _header(archive[at : at + _BLOCK])
        start, end = at + _BLOCK, at + _BLOCK + header.size
        if header.type != tarfile.REGTYPE or not 0 <= header.size <= len(archive) - start:
            raise InvalidPackage(f"{header.name[:80]!r} in the archive is not a regular file, or is cut short")
        yield header.name, archive[start:end]
        at = start + -(-header.size // _BLOCK) * _BLOCK


def _header(block: memoryview) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(bytes(block), "ascii", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise InvalidPackage(f"not a package archive: {error}") from error
