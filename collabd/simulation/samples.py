"""The sample images of the checkout, what they show, and what the unsplit network makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collabd.catalog.package import Package, load
from collabd.engine import Engine
from collabd.imaging import prepare

CIFAR = ("alexnet_cifar10", "vgg16_cifar10")
IMAGENET = ("efficientnet_lite0",)


Labelled = tuple[Path, tuple[str, ...]]


@dataclass(frozen=True)
class Sample:
    """An image file, the labels that are right for it, and the label that the unsplit network gives it."""

    path: Path
    labels: tuple[str, ...]
    unsplit: str


def load_samples(models: Path, count: int) -> dict[str, list[Sample]]:
    """`count` samples for each shipped network; `models` is the checkout's folder of that name."""
    cifar = _spread(sorted((models / "samples/cifar10").glob("*/*.jpg")), count)
    photos = sorted((models / "samples/photos").glob("*.jpg"))
    known: dict[str, list[str]] = json.loads((models / "samples/photos/labels.json").read_text())
    found: dict[str, list[Labelled]] = {name: [(path, (path.parent.name,)) for path in cifar] for name in CIFAR}
    repeated = [photos[index % len(photos)] for index in range(count)]
    found |= {name: [(path, tuple(known.get(path.name, ()))) for path in repeated] for name in IMAGENET}
    return {name: _with_answers(load(models / name / "package"), images) for name, images in found.items()}


def _spread(paths: list[Path], count: int) -> list[Path]:
    return [paths[index * len(paths) // count] for index in range(count)]


def _with_answers(package: Package, images: list[Labelled]) -> list[Sample]:
    engine = Engine(threads=1, cache_bytes=2**30)
    engine.add(package.digest, package.network())
    manifest = package.manifest
    samples = []
    for path, labels in images:
        feeds = {manifest.input: prepare(path.read_bytes(), manifest.preprocessing)}
        output = engine.run(package.digest, feeds, [manifest.output])[manifest.output]
        samples.append(Sample(path, labels, manifest.labels[int(np.argmax(output))]))
    return samples
