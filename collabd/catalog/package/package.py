"""A model package on disk: a directory with a graph or two, a manifest, a licence, and the digest of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from collab_sdk.errors import InvalidPackage
from collab_sdk.text import plain
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.atomic_directory import whole_directory
from collabd.catalog.package.faults import inconsistencies, misfits, twin_misfits
from collabd.catalog.package.manifest import Classify, Detect, Manifest, Segment, Task

if TYPE_CHECKING:
    from collabd.partition import Network

MANIFEST = "package.json"
MODEL = "model.onnx"
GRAPHS = {Precision.FP32: MODEL, Precision.INT8: "model.int8.onnx"}
LICENCE = "LICENCE"
DIGEST = "digest"
# What every package has.
CONTENT = (LICENCE, MODEL, MANIFEST)
# What a package may have besides, if its manifest names it.
VARIANTS = tuple(name for name in GRAPHS.values() if name not in CONTENT)
# `PartitionError` is one of them. onnx raises any of them if the fields of a graph contradict one another.
MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError)
_REBUILD = "build the package again with 'collabctl models add'"


@dataclass(frozen=True)
class Package:
    """A checked package. Only `network` and `networks` read its graphs, which takes memory and tenths of a second."""

    path: Path
    manifest: Manifest
    digest: str

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files."""
        return *sorted({*CONTENT, *_graphs(self.manifest)}), DIGEST

    @property
    def nbytes(self) -> int:
        """The bytes that its files take on the disk."""
        return sum((self.path / name).stat().st_size for name in self.files)

    @property
    def graph_bytes(self) -> int:
        """The bytes that its graphs take on the disk."""
        return sum((self.path / name).stat().st_size for name in _graphs(self.manifest))

    @property
    def weight_bytes(self) -> int:
        """The most bytes that its weights take in memory. Those of fp32 may lie on the disk in half width."""
        return self.graph_bytes + (self.path / MODEL).stat().st_size

    def network(self) -> Network:
        """The fp32 graph, ready to be cut; raises `InvalidPackage` if graph and manifest do not fit together."""
        return self._read(Precision.FP32, lambda network: misfits(self.manifest, network))

    def networks(self) -> dict[Precision, Network]:
        """Its graphs, ready to be cut and joined; raises `InvalidPackage` if they do not fit together."""
        fp32 = self.network()
        others = (precision for precision in self.manifest.precisions if precision != Precision.FP32)
        networks = {Precision.FP32: fp32}
        for precision in others:
            networks[precision] = self._read(precision, lambda twin: twin_misfits(self.manifest, fp32, twin))
        return networks

    def _read(self, precision: Precision, faults_of: Callable[[Network], list[str]]) -> Network:
        from collabd.partition import Network  # noqa: PLC0415  onnx is slow to import, and `load` is quick

        path = self.path / GRAPHS[precision]
        try:
            network = Network.load(path)
            faults = faults_of(network)
        except MALFORMED as error:
            raise InvalidPackage(f"{path}: {error}; {_REBUILD}") from error
        _refuse(path, faults)
        return network


def load(path: Path) -> Package:
    """The package in directory `path`, its digest and manifest checked; raises `InvalidPackage`.

    Reads every file once and parses only the manifest, so that a Pi can list its packages quickly.
    """
    # Reading a FIFO or a device might never end.
    _require(path, (*CONTENT, DIGEST))
    stated = _read(path / DIGEST).decode("utf-8", "replace").strip()
    found = digest_of(path)
    if stated != found:
        raise InvalidPackage(f"{path}: the files have digest {found} but '{DIGEST}' says {stated[:80]}; {_REBUILD}")
    manifest = _manifest(path / MANIFEST)
    graphs = _graphs(manifest)
    _require(path, graphs)
    if unnamed := [name for name in VARIANTS if name not in graphs and (path / name).is_file()]:
        raise InvalidPackage(f"{path} has {', '.join(unnamed)}, which {MANIFEST} does not name; {_REBUILD}")
    return Package(path, manifest, found)


def _graphs(manifest: Manifest) -> tuple[str, ...]:
    return tuple(GRAPHS[precision] for precision in manifest.precisions)


def _require(path: Path, names: Sequence[str]) -> None:
    if missing := [name for name in names if not (path / name).is_file()]:
        raise InvalidPackage(f"{path} is not a model package: it lacks {', '.join(missing)}")


def digest_of(path: Path) -> str:
    """`sha256:<hex>` over name, NUL and sha256 of each content file, in order of name."""
    whole = hashlib.sha256()
    variants = (name for name in VARIANTS if (path / name).is_file())
    for name in sorted([*CONTENT, *variants]):
        whole.update(name.encode() + b"\0" + _sha256(path / name))
    return f"sha256:{whole.hexdigest()}"


def write(path: Path, manifest: Manifest, *, model: bytes, licence: str, int8: bytes | None = None) -> Package:
    """Write a package as directory `path`, whole or not at all, replacing what is there.

    `model`: serialised ONNX. `int8`: the same for the precision int8, if the manifest names it.
    """
    content = {
        LICENCE: licence.encode(),
        MODEL: model,
        MANIFEST: msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n",
    }
    if int8 is not None:
        content[GRAPHS[Precision.INT8]] = int8
    with whole_directory(path) as directory:
        for name, data in content.items():
            (directory / name).write_bytes(data)
        (directory / DIGEST).write_text(digest_of(directory) + "\n")
        written = load(directory)
    return replace(written, path=path)


def rewritten(package: Package, manifest: Manifest, path: Path) -> Package:
    """Write the package with another manifest as directory `path`, which may be its own."""
    kept = {name: _read(package.path / name) for name in package.files if name not in (MANIFEST, DIGEST)}
    int8 = kept.get(GRAPHS[Precision.INT8])
    return write(path, manifest, model=kept[MODEL], licence=kept[LICENCE].decode(), int8=int8)


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
        task=_plain_task(manifest.task),
        layers=tuple(layers),
        cuts=tuple(msgspec.structs.replace(cut, name=plain(cut.name)) for cut in manifest.cuts),
        licence=plain(manifest.licence),
        provenance=plain(manifest.provenance),
    )


def _plain_task(task: Task) -> Task:
    match task:
        case Classify():
            return msgspec.structs.replace(task, labels=tuple(map(plain, task.labels)))
        case Detect() | Segment():
            return msgspec.structs.replace(task, classes=tuple(map(plain, task.classes)))
    return task


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
