"""The shipped networks that are built, with sample images for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collabd.catalog.package.package import MANIFEST, Package, load

MODELS = Path(__file__).parents[2] / "models"
PHOTOGRAPHIC = "efficientnet_lite0"
_SAMPLES = {"alexnet_cifar10": "cifar10/*/*.jpg", "vgg16_cifar10": "cifar10/*/*.jpg", PHOTOGRAPHIC: "photos/*.jpg"}


@dataclass(frozen=True)
class Shipped:
    """A package, and encoded images of the kind that it was trained on."""

    package: Package
    images: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The network's name."""
        return self.package.manifest.name

    def image(self, turn: int) -> bytes:
        """One after the other, over and over."""
        return self.images[turn % len(self.images)]


def shipped() -> list[Shipped]:
    """Those that are built; says of the others that they are left out."""
    found = []
    for name, glob in _SAMPLES.items():
        path = MODELS / name / "package"
        if not (path / MANIFEST).exists():
            print(f"{name} is left out: {path} is not built (make models)")
            continue
        images = tuple(file.read_bytes() for file in sorted((MODELS / "samples").glob(glob)))
        found.append(Shipped(load(path), images))
    return found
