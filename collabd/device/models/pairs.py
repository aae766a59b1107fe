"""Whether a model's little network may answer in its place."""

from __future__ import annotations

from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import Package


def why_unpaired(big: Manifest, found: Package | None, *, loaded: bool) -> str:
    """Why the little network that `big` names answers no calls; empty if it does, or if there is none.

    `found`: the package of its name; None: there is none. `loaded`: whether it is in memory.
    """
    wanted = big.little
    if wanted is None:
        return ""
    name = wanted.package
    if found is None:
        return f"there is no model {name}"
    if found.digest != wanted.digest:
        return f"{name} is not the package that it was paired with: pair them again with 'collabctl models pair'"
    if found.manifest.labels != big.labels or found.manifest.picture is None:
        return f"{name} has other labels"
    return "" if loaded else f"{name} is not in memory (models.loaded_mb leaves no room for both)"
