"""The shipped networks that are built, with sample images for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collabd.catalog.package import MANIFEST, Package, load
from collabd.simulation.samples import CIFAR, IMAGENET

MODELS = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class Shipped:
    """A package, and encoded images of the kind that it was trained on."""

    package: Package
    images: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The network's name."""
        return self.package.manifest.name


def shipped() -> list[Shipped]:
    """Those that are built; says of the others that they are left out."""
    globs = dict.fromkeys(CIFAR, "cifar10/*/*.jpg") | dict.fromkeys(IMAGENET, "photos/*.jpg")
    found = []
    for name, glob in globs.items():
        path = MODELS / name / "package"
        if not (path / MANIFEST).exists():
            print(f"{name} is left out: {path} is not built (make models)")
            continue
        images = tuple(file.read_bytes() for file in sorted((MODELS / "samples").glob(glob)))
        found.append(Shipped(load(path), images))
    return found
