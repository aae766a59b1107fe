"""Writes an index of packages, with their archives beside it, for anyone to serve as plain files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collab_sdk.vocabulary import TaskKind
from collabd import __version__
from collabd.atomic_file import replace_file
from collabd.catalog.package.manifest import kind_of
from collabd.catalog.package.package import Package
from collabd.catalog.pull.index import Archive, Index, Offer, decode, encode
from collabd.catalog.pull.trust import SIGNATURE, signature
from collabd.catalog.store import bundle

INDEX = "index.json"
_PUBLIC = 0o644
# As long as it needs to be to tell two packages of a name apart, and no name of a file.
_DIGITS = 12


def publish(
    packages: Sequence[Package], folder: Path, *, signer: Ed25519PrivateKey | None = None
) -> tuple[Index, bytes]:
    """Add packages to the index in `folder`, which is made where there is none; the index, and its bytes.

    A package of a name that is there already becomes its next version. Raises `InvalidRequest` if what is there is no
    index, `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / INDEX
    offers = list(decode(target.read_bytes(), str(target)).models) if target.exists() else []
    for package in packages:
        if package.digest not in (offer.digest for offer in offers):
            versions = [offer.version for offer in offers if offer.name == package.manifest.name]
            offers.append(_offer(package, folder, max(versions, default=0) + 1))
    index = Index(tuple(sorted(offers, key=lambda offer: (offer.name, offer.version))))
    content = encode(index)
    signed = target.with_name(f"{INDEX}{SIGNATURE}")
    # One that does not fit the index any more would only mislead.
    signed.unlink(missing_ok=True)
    replace_file(target, content, mode=_PUBLIC)
    if signer is not None:
        replace_file(signed, signature(signer, content), mode=_PUBLIC)
    return index, content


def _offer(package: Package, folder: Path, version: int) -> Offer:
    manifest, data = package.manifest, bundle.pack(package)
    digits = package.digest.removeprefix("sha256:")[:_DIGITS]
    name = f"{manifest.name}-{version}-{digits}.tar"
    replace_file(folder / name, data, mode=_PUBLIC)
    return Offer(
        name=manifest.name,
        version=version,
        task=TaskKind(kind_of(manifest.task)),
        digest=package.digest,
        archive=Archive(name, len(data), hashlib.sha256(data).hexdigest()),
        licence=manifest.licence,
        source=manifest.provenance,
        collabd=__version__,
    )
