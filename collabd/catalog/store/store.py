"""The model packages of a machine, in one directory that is written and any number that are only read."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from collab_sdk.errors import InvalidPackage, InvalidRequest, StorageUnavailable, UnknownPackage
from collabd.catalog.package.atomic_directory import remove_directory, tidy, whole_directory
from collabd.catalog.package.package import Package, load
from collabd.catalog.store import bundle
from collabd.catalog.trial.apart import try_apart
from collabd.did_you_mean import unknown_model

log = logging.getLogger(__name__)

_Stamp = tuple[tuple[str, int, int], ...]
# A file beside those of a received package: the devices that it belongs to, one name in a line.
_DEVICES = "devices"
_BESIDE = frozenset({_DEVICES, f".{_DEVICES}"})
# One package has no more devices. Their names can be addresses, and there is no end of those.
_MOST_DEVICES = 64


@dataclass(frozen=True)
class Problem:
    """A directory in a root that is not a sound package, and why."""

    path: Path
    reason: str


class Store:
    """Packages in `roots`, searched in order; the first root is where packages are installed.

    Every call looks at the disk, so that a package is seen which another process installed. A file is read again only
    if it changed. If two packages have the same name, the one in the earlier root hides the other, and an installed one
    hides a received one. `try_out` raises `InvalidPackage` where a received package must not be kept.
    """

    def __init__(self, roots: Sequence[Path], *, try_out: Callable[[Path], None] = try_apart) -> None:
        self._roots = tuple(roots)
        self._try_out = try_out
        self._loaded: dict[Path, tuple[_Stamp, Package]] = {}

    @property
    def writable(self) -> Path:
        """The root that `install`, `receive` and `remove` change."""
        return self._roots[0]

    def packages(self) -> list[Package]:
        """One package for each name, in search order."""
        by_name: dict[str, Package] = {}
        for package in self._sound():
            by_name.setdefault(package.manifest.name, package)
        return list(by_name.values())

    def problems(self) -> list[Problem]:
        """The directories that are no sound packages. All other calls pass them over."""
        return [found for found in self._found() if isinstance(found, Problem)]

    def get(self, name: str) -> Package:
        """The package of this name; raises `UnknownModel`, naming those there are."""
        packages = {package.manifest.name: package for package in self.packages()}
        if name not in packages:
            raise unknown_model(name, packages)
        return packages[name]

    def by_digest(self, digest: str) -> Package:
        """The package of this digest, even if another of its name hides it. Raises `UnknownPackage`."""
        for package in self._sound():
            if package.digest == digest:
                return package
        raise UnknownPackage(f"no package with digest {digest[:80]}")

    def install(self, source: Path, digest: str | None = None) -> Package:
        """Copy the package from directory `source`, replacing one of its name. If `digest` is given, it must have that.

        Raises `InvalidPackage`, `StorageUnavailable`.
        """
        package = load(source)
        target = self.writable / package.manifest.name
        with _writing(self.writable), whole_directory(target) as directory:
            for name in package.files:
                shutil.copyfile(source / name, directory / name)
            if load(directory).digest != (digest or package.digest):
                raise InvalidPackage(f"{source} changed while collabd copied it: install it again")
        return replace(package, path=target)

    def receive(self, data: bytes | memoryview, *, digest: str, max_bytes: int) -> Package:
        """Keep a pushed archive, beside others of its name.

        Raises `StorageUnavailable`, and what `bundle.unpack` raises.
        """
        with _writing(self.writable):
            package = bundle.unpack(data, self.writable, digest=digest, max_bytes=max_bytes, try_out=self._try_out)
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
        """Remember, over restarts too, that `device` uses a received package now."""
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
        """Remove the unfinished directories of processes that died. Log what cannot be removed."""
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
        # Packages that an administrator installed come before those that devices pushed.
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
    """Around writes: `StorageUnavailable` if the disk is full, read-only or broken, which no caller is to blame for."""
    try:
        yield
    except OSError as error:
        log.error("cannot write to %s: %s", root, error)  # noqa: TRY400  a traceback says no more
        raise StorageUnavailable(
            f"this machine cannot keep packages ({error.strerror}): make room, or check the disk"
        ) from error


def _directories(root: Path) -> list[Path]:
    """The directories in `root` that are finished: hidden ones are not (see `whole_directory`)."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _stamp(path: Path) -> _Stamp:
    found = [(entry.name, entry.stat()) for entry in os.scandir(path) if entry.name not in _BESIDE]
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in found))
