"""A model package on disk: a directory with a graph, a manifest, a licence and the digest of the three."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from collab_sdk.errors import InvalidPackage
from collab_sdk.text import plain
from collabd.catalog.package.atomic_directory import whole_directory
from collabd.catalog.package.faults import inconsistencies, misfits
from collabd.catalog.package.manifest import Manifest

if TYPE_CHECKING:
    from collabd.partition import Network

MANIFEST = "package.json"
MODEL = "model.onnx"
LICENCE = "LICENCE"
DIGEST = "digest"
CONTENT = (LICENCE, MODEL, MANIFEST)
# `PartitionError` is one of them. onnx raises any of them if the fields of a graph contradict one another.
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError)
_REBUILD = "build the package again with 'collabctl models add'"


@dataclass(frozen=True)
class Package:
    """A checked package. Only `network` reads its graph, which takes memory and tenths of a second."""

    path: Path
    manifest: Manifest
    digest: str

    @property
    def nbytes(self) -> int:
        """The bytes that its files take on the disk."""
        return sum((self.path / name).stat().st_size for name in (*CONTENT, DIGEST))

    def network(self) -> Network:
        """The graph, ready to be cut; raises `InvalidPackage` where graph and manifest do not fit together."""
        from collabd.partition import Network  # noqa: PLC0415  onnx is slow to import, and `load` is quick

        path = self.path / MODEL
        try:
            network = Network.load(path)
            faults = misfits(self.manifest, network)
        except MALFORMED as error:
            raise InvalidPackage(f"{path}: {error}; {_REBUILD}") from error
        _refuse(path, faults)
        return network


def load(path: Path) -> Package:
    """The package in directory `path`, its digest and manifest checked; raises `InvalidPackage`.

    Reads every file once and parses only the manifest, so that a Pi can list its packages quickly.
    """
    # Reading a FIFO or a device might never end.
    if missing := [name for name in (*CONTENT, DIGEST) if not (path / name).is_file()]:
        raise InvalidPackage(f"{path} is not a model package: it lacks {', '.join(missing)}")
    stated = _read(path / DIGEST).decode("utf-8", "replace").strip()
    found = digest_of(path)
    if stated != found:
        raise InvalidPackage(f"{path}: the files have digest {found} but '{DIGEST}' says {stated[:80]}; {_REBUILD}")
    return Package(path, _manifest(path / MANIFEST), found)


def digest_of(path: Path) -> str:
    """`sha256:<hex>` over name, NUL and sha256 of each content file, in order of name."""
    whole = hashlib.sha256()
    for name in CONTENT:
        whole.update(name.encode() + b"\0" + _sha256(path / name))
    return f"sha256:{whole.hexdigest()}"


def write(path: Path, manifest: Manifest, *, model: bytes, licence: str) -> Package:
    """Write a package (`model`: serialised ONNX) as directory `path`, whole or not at all, replacing what is there."""
    content = {
        LICENCE: licence.encode(),
        MODEL: model,
        MANIFEST: msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n",
    }
    with whole_directory(path) as directory:
        for name, data in content.items():
            (directory / name).write_bytes(data)
        (directory / DIGEST).write_text(digest_of(directory) + "\n")
        written = load(directory)
    return replace(written, path=path)


def _manifest(path: Path) -> Manifest:
    try:
        manifest = _plain(msgspec.json.decode(_read(path), type=Manifest))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidPackage(f"{path}: {error}; {_REBUILD}") from error
    _refuse(path, inconsistencies(manifest))
    return manifest


def _plain(manifest: Manifest) -> Manifest:
    """The manifest with all text that people see made plain. Names of tensors stay as the graph has them."""
    layers = (msgspec.structs.replace(layer, name=plain(layer.name), op=plain(layer.op)) for layer in manifest.layers)
    return msgspec.structs.replace(
        manifest,
        labels=tuple(map(plain, manifest.labels)),
        layers=tuple(layers),
        cuts=tuple(msgspec.structs.replace(cut, name=plain(cut.name)) for cut in manifest.cuts),
        licence=plain(manifest.licence),
        provenance=plain(manifest.provenance),
    )


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise InvalidPackage(f"{path}: {'; '.join(faults)}; {_REBUILD}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InvalidPackage:
    return InvalidPackage(f"{path}: {error.strerror}: this user must be able to read the package's files")
