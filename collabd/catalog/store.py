"""The model packages that a machine holds: one writable directory and any number that are only read."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from collab_sdk.errors import InvalidPackage, InvalidRequest, StorageUnavailable, UnknownPackage
from collabd.catalog import bundle
from collabd.catalog.directory import remove_directory, tidy, whole_directory
from collabd.catalog.package import CONTENT, DIGEST, Package, load
from collabd.names import unknown_model

log = logging.getLogger(__name__)

_Stamp = tuple[tuple[str, int, int], ...]
# Beside the files of a received package: whose it is, a name a line.
_DEVICES = "devices"
_BESIDE = frozenset({_DEVICES, f".{_DEVICES}"})
# Of one package. Names can be addresses, and of those there is no end.
_MOST_DEVICES = 64


@dataclass(frozen=True)
class Problem:
    """A directory in a root that is not a sound package, and why."""

    path: Path
    reason: str


class Store:
    """Packages in `roots`, searched in order; the first root is where packages are installed.

    Every call looks at the disk, so a package that another process installed is seen; a file is read again only
    after it changed. Where two packages have one name, the earlier root hides the later one, and what was installed
    hides what was received.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self._loaded: dict[Path, tuple[_Stamp, Package]] = {}

    @property
    def writable(self) -> Path:
        """The root that `install`, `receive` and `remove` change."""
        return self._roots[0]

    def packages(self) -> list[Package]:
        """The packages that a name can mean, one for each name, in search order."""
        by_name: dict[str, Package] = {}
        for package in self._sound():
            by_name.setdefault(package.manifest.name, package)
        return list(by_name.values())

    def problems(self) -> list[Problem]:
        """The directories that are no sound packages; they are otherwise passed over."""
        return [found for found in self._found() if isinstance(found, Problem)]

    def get(self, name: str) -> Package:
        """The package of this name; raises `UnknownModel`, naming those there are."""
        packages = {package.manifest.name: package for package in self.packages()}
        if name not in packages:
            raise unknown_model(name, packages)
        return packages[name]

    def by_digest(self, digest: str) -> Package:
        """The package of this digest, hidden by another of its name or not; raises `UnknownPackage`."""
        for package in self._sound():
            if package.digest == digest:
                return package
        raise UnknownPackage(f"no package with digest {digest[:80]}")

    def install(self, source: Path, digest: str | None = None) -> Package:
        """Copy the package in directory `source`, of this `digest` if one is given, replacing one of its name.

        Raises `InvalidPackage`, `StorageUnavailable`.
        """
        package = load(source)
        target = self.writable / package.manifest.name
        with _writing(self.writable), whole_directory(target) as directory:
            for name in (*CONTENT, DIGEST):
                shutil.copyfile(source / name, directory / name)
            if load(directory).digest != (digest or package.digest):
                raise InvalidPackage(f"{source} changed while collabd copied it: install it again")
        return replace(package, path=target)

    def receive(self, data: bytes | memoryview, *, digest: str, max_bytes: int) -> Package:
        """Keep a pushed archive, beside others of its name.

        Raises `StorageUnavailable`, and what `bundle.unpack` raises.
        """
        with _writing(self.writable):
            package = bundle.unpack(data, self.writable, digest=digest, max_bytes=max_bytes)
        # It was just read and checked.
        self._loaded[package.path] = _stamp(package.path), package
        return package

    def pushed(self) -> list[Package]:
        """The packages that were received, least recently used first (see `used`)."""
        ours = [package for package in self._sound() if self.is_pushed(package)]
        return sorted(ours, key=lambda package: package.path.stat().st_mtime_ns)

    def is_pushed(self, package: Package) -> bool:
        """Whether it was received, and not installed."""
        return package.path == bundle.place(self.writable, package.digest)

    def used(self, package: Package, device: str | None = None) -> None:
        """Remember over restarts that a received package is in use now, and of whom."""
        try:
            os.utime(package.path)
            if device is not None:
                self._add(package, device)
        except OSError as error:
            log.warning("%s: cannot note that it was used: %s", package.path, error)

    def devices(self, package: Package) -> frozenset[str]:
        """The devices that sent or used a received package."""
        try:
            return frozenset((package.path / _DEVICES).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError):
            return frozenset()

    def _add(self, package: Package, device: str) -> None:
        known = self.devices(package)
        if device not in known and len(known) < _MOST_DEVICES:
            written = package.path / f".{_DEVICES}"
            written.write_text("\n".join(sorted({*known, device})), encoding="utf-8")
            written.replace(package.path / _DEVICES)

    def discard(self, package: Package) -> None:
        """Delete a received package. Raises `StorageUnavailable`."""
        with _writing(self.writable):
            remove_directory(package.path)

    def tidy(self) -> None:
        """Remove what a process that died left unfinished; what cannot be removed is logged."""
        try:
            tidy(self.writable)
        except OSError as error:
            log.warning("cannot tidy up %s: %s", self.writable, error)

    def remove(self, name: str) -> None:
        """Delete what is kept here under `name`.

        Raises `UnknownModel`, `InvalidRequest` if another root has it, `StorageUnavailable`.
        """
        package = self.get(name)
        ours = [each for each in self._sound() if each.manifest.name == name and each.path.parent == self.writable]
        if not ours:
            raise InvalidRequest(f"{name} came with the installation ({package.path}), so collabd cannot remove it")
        for each in ours:
            self.discard(each)

    def _sound(self) -> Iterator[Package]:
        return (found for found in self._found() if isinstance(found, Package))

    def _found(self) -> Iterator[Package | Problem]:
        found = [self._look(path) for root in self._roots for path in self._paths(root)]
        # What an administrator installed comes before what anybody pushed.
        yield from sorted(found, key=lambda each: isinstance(each, Package) and self.is_pushed(each))

    def _paths(self, root: Path) -> list[Path]:
        paths = _directories(root)
        for path in [path for path in list(self._loaded) if path.parent == root and path not in paths]:
            self._loaded.pop(path, None)
        return paths

    def _look(self, path: Path) -> Package | Problem:
        try:
            stamp = _stamp(path)
            known = self._loaded.get(path)
            if known is None or known[0] != stamp:
                known = self._loaded[path] = stamp, load(path)
        except (InvalidPackage, OSError) as error:
            self._loaded.pop(path, None)
            return Problem(path, str(error))
        return known[1]


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """A disk that is full, read-only or broken is nobody's mistake, and passes once somebody sees to it."""
    try:
        yield
    except OSError as error:
        log.error("cannot write to %s: %s", root, error)  # noqa: TRY400  a traceback says no more
        raise StorageUnavailable(
            f"this machine cannot keep packages ({error.strerror}): make room, or check the disk"
        ) from error


def _directories(root: Path) -> list[Path]:
    """Hidden ones are unfinished (see `whole_directory`)."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _stamp(path: Path) -> _Stamp:
    found = [(entry.name, entry.stat()) for entry in os.scandir(path) if entry.name not in _BESIDE]
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in found))
