"""The model packages that a machine holds: one writable directory and any number that are only read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collab_sdk.errors import InvalidPackage, InvalidRequest, UnknownModel, UnknownPackage
from collabd.catalog import bundle
from collabd.catalog.directory import whole_directory
from collabd.catalog.package import CONTENT, DIGEST, Package, load

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Problem:
    """A directory in a root that is not a sound package, and why."""

    path: Path
    reason: str


class Store:
    """Packages in `roots`, searched in order; the first root is where packages are installed.

    Every call looks at the disk, so a package that another process installed is seen; a file is read again only
    after it changed. Where two packages have one name, the earlier root hides the later one.
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
            raise UnknownModel(f"no model {name[:80]!r}; installed: {', '.join(packages) or 'none'}")
        return packages[name]

    def by_digest(self, digest: str) -> Package:
        """The package of this digest, hidden by another of its name or not; raises `UnknownPackage`."""
        for package in self._sound():
            if package.digest == digest:
                return package
        raise UnknownPackage(f"no package with digest {digest[:80]}")

    def install(self, source: Path) -> Package:
        """Copy the package in directory `source`, replacing an installed one of its name; raises `InvalidPackage`."""
        package = load(source)
        target = self.writable / package.manifest.name
        with whole_directory(target) as directory:
            for name in (*CONTENT, DIGEST):
                shutil.copyfile(source / name, directory / name)
            if load(directory).digest != package.digest:
                raise InvalidPackage(f"{source} changed while it was copied; install it again")
        return replace(package, path=target)

    def receive(self, data: bytes | memoryview, *, digest: str, max_bytes: int) -> Package:
        """Keep a pushed archive, beside others of its name; raises what `bundle.unpack` raises."""
        return bundle.unpack(data, self.writable, digest=digest, max_bytes=max_bytes)

    def remove(self, name: str) -> None:
        """Delete what is kept here under `name`; raises `UnknownModel`, or `InvalidRequest` if another root has it."""
        package = self.get(name)
        ours = [each for each in self._sound() if each.manifest.name == name and each.path.parent == self.writable]
        if not ours:
            raise InvalidRequest(f"{name} comes with the installation ({package.path}) and cannot be removed from here")
        for each in ours:
            shutil.rmtree(each.path)

    def _sound(self) -> Iterator[Package]:
        return (found for found in self._found() if isinstance(found, Package))

    def _found(self) -> Iterator[Package | Problem]:
        for root in self._roots:
            found = [self._look(path) for path in _directories(root)]
            # Installed under its name before pushed under its digest.
            yield from sorted(found, key=lambda each: isinstance(each, Problem) or each.path.name != each.manifest.name)

    def _look(self, path: Path) -> Package | Problem:
        try:
            stamp = _stamp(path)
            known = self._loaded.get(path)
            if known is None or known[0] != stamp:
                known = self._loaded[path] = stamp, load(path)
        except (InvalidPackage, OSError) as error:
            return Problem(path, str(error))
        return known[1]


def _directories(root: Path) -> list[Path]:
    """Hidden ones are unfinished (see `whole_directory`)."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _stamp(path: Path) -> _Stamp:
    found = [(entry.name, entry.stat()) for entry in os.scandir(path)]
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in found))
