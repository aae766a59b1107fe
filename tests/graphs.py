"""The graphs of a package, to write it anew with another manifest."""

from __future__ import annotations

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.package import GRAPHS, Package


def graphs_of(package: Package) -> tuple[bytes, bytes | None]:
    """In fp32, and in int8 if the package has that."""
    fp32, int8 = (package.path / GRAPHS[precision] for precision in GRAPHS)
    return fp32.read_bytes(), int8.read_bytes() if Precision.INT8 in package.manifest.precisions else None
