"""Where companions keep the packages that they share, whatever keeps them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from collabd.catalog.package.package import Package
from collabd.catalog.store.shared_directory import SharedDirectory

_S3 = "s3://"


class SharedPackages(Protocol):
    """One archive for each digest. A companion checks what it finds as if a device had pushed it.

    So whoever can write there can do no more than a device. What goes wrong there is logged: these are only copies.
    """

    def check(self) -> None:
        """Log if packages cannot be shared there."""

    def put(self, package: Package) -> None:
        """Keep an archive of a package that passed its checks."""

    def get(self, digest: str, most_bytes: int) -> bytes | None:
        """The archive of the package of this digest; None: it is not there, too large, or cannot be read."""

    def discard(self, digest: str) -> None:
        """Delete an archive that failed its checks, so that a device can push a sound one."""


def problems(place: str) -> list[str]:
    """Why packages cannot be shared there by this installation."""
    if place.startswith(_S3) and find_spec("boto3") is None:
        return ["models.shared: s3:// needs the package boto3: pip install 'collabd[s3]'"]
    return []


def shared_packages(place: str, most_bytes: int) -> SharedPackages:
    """Those in a directory, which together take at most `most_bytes`, or under ``s3://BUCKET/PREFIX``."""
    if not place.startswith(_S3):
        return SharedDirectory(Path(place), most_bytes)
    # An extra, and 30 MB.
    from collabd.catalog.store.shared_objects import SharedObjects  # noqa: PLC0415

    bucket, _, prefix = place.removeprefix(_S3).partition("/")
    return SharedObjects(bucket, prefix.rstrip("/"))
