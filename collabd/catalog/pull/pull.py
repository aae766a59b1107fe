"""A package from an index: found, fetched, checked and tried out."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collab_sdk.errors import InvalidPackage, InvalidRequest, RequestTooLarge
from collabd.catalog.package.manifest import kind_of
from collabd.catalog.package.package import Package
from collabd.catalog.pull import places
from collabd.catalog.pull.download import At, downloaded
from collabd.catalog.pull.index import MOST_INDEX_BYTES, Index, Offer, decode
from collabd.catalog.pull.trust import MOST_SIGNATURE_BYTES, SIGNATURE, Trust
from collabd.catalog.store import bundle


@dataclass(frozen=True)
class IndexAt:
    """An index, and the URL that it came from."""

    url: str
    index: Index

    @classmethod
    def read(cls, where: str, trust: Trust) -> IndexAt:
        """The index at a path or URL. Raises `InvalidRequest` if it cannot be trusted or read, `DownloadFailed`."""
        url = places.locate(where)
        if places.is_remote(url) and not trust:
            raise InvalidRequest(
                f"{url} comes over a network, where it may be changed: say what it must be, by its --sha256, or by the "
                "--key that its publisher signs with"
            )
        content = places.read(url, MOST_INDEX_BYTES)
        signature = places.read(places.beside(url, SIGNATURE), MOST_SIGNATURE_BYTES) if trust.key else b""
        trust.check(content, signature, url)
        return cls(url, decode(content, url))


def pull(
    source: IndexAt,
    offer: Offer,
    parent: Path,
    *,
    cache: Path,
    most_bytes: int,
    at: At,
    try_out: Callable[[Path], None],
) -> Package:
    """Fetch what is offered and keep it as a directory in `parent`, checked and tried out as a pushed package is.

    `try_out` raises `InvalidPackage` where it must not be kept. `cache`: where an unfinished download waits. `at` is
    told how many bytes have come. Raises `DownloadFailed`, `InvalidPackage`, `InvalidRequest`, `RequestTooLarge`.
    """
    if offer.archive.bytes > most_bytes:
        raise RequestTooLarge(f"{offer} has {offer.archive.bytes} bytes, more than the limit of {most_bytes} bytes")
    url = places.resolve(source.url, offer.archive.url)
    with downloaded(url, offer.archive, cache, at=at) as path:
        package = bundle.unpack(_mapped(path), parent, digest=offer.digest, max_bytes=most_bytes, try_out=try_out)
    if faults := _differences(offer, package):
        raise InvalidPackage(f"{offer} is not as the index says: {'; '.join(faults)}. Tell its publisher")
    return package


def _differences(offer: Offer, package: Package) -> list[str]:
    """Where a package is not what was shown of it. What is shown has to be what is installed, its licence above all."""
    manifest = package.manifest
    pairs = {
        "name": (offer.name, manifest.name),
        "task": (offer.task, kind_of(manifest.task)),
        "licence": (offer.licence, manifest.licence),
        "source": (offer.source, manifest.provenance),
    }
    return [f"its {what} is {found[:200]!r}" for what, (stated, found) in pairs.items() if stated != found]


def _mapped(path: Path) -> memoryview:
    """The bytes of a file that nobody else writes. They are read as they are needed."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
