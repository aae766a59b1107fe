"""The sample images of the checkout, their right labels, and the label that the unsplit network gives each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from collab_sdk.vocabulary import ScoreKind
from collabd.catalog.package.manifest import SURE
from collabd.catalog.package.package import Package, load
from collabd.catalog.package.scores import as_classes, confidence
from collabd.engine import Engine
from collabd.imaging import prepare

CIFAR = ("alexnet_cifar10", "vgg16_cifar10")
IMAGENET = "efficientnet_lite0"

# An image comes as a file, unchanged from the disk, or as pixels, as from a camera.
Form = Literal["file", "frame"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """An image as a file or as pixels. `labels`: the right labels. `unsplit`: the label from the unsplit network.

    `sure`: whether the unsplit network is sure of it, since fidelity counts only such images.
    """

    name: str
    image: bytes | npt.NDArray[np.uint8]
    labels: tuple[str, ...]
    unsplit: str
    sure: bool


def load_samples(models: Path, count: int) -> dict[tuple[str, Form], list[Sample]]:
    """`count` samples for each shipped network and form. `models` is the folder models/ of the checkout."""
    cifar = _spread(sorted((models / "samples/cifar10").glob("*/*.jpg")), count)
    known: dict[str, list[str]] = json.loads((models / "samples/photos/labels.json").read_text())
    photos = [models / "samples/photos" / name for name in known]
    found: dict[tuple[str, Form], list[Sample]] = {}
    for name in CIFAR:
        found[name, "file"] = _samples(models / name, "file", [(path, (path.parent.name,)) for path in cifar])
    labelled = [(photos[index % len(photos)], tuple([*known.values()][index % len(photos)])) for index in range(count)]
    for form in get_args(Form):
        found[IMAGENET, form] = _samples(models / IMAGENET, form, labelled)
    return found


def _spread(paths: list[Path], count: int) -> list[Path]:
    return [paths[index * len(paths) // count] for index in range(count)]


def _samples(model: Path, form: Form, images: Sequence[tuple[Path, tuple[str, ...]]]) -> list[Sample]:
    package = load(model / "package")
    engine = Engine(threads=1, cache_bytes=2**30)
    engine.add(package.digest, package.network())
    samples = []
    for path, labels in images:
        image = path.read_bytes() if form == "file" else np.asarray(Image.open(path).convert("RGB"))
        unsplit, sure = _answer(package, engine, image)
        samples.append(Sample(name=path.name, image=image, labels=labels, unsplit=unsplit, sure=sure))
    return samples


def _answer(package: Package, engine: Engine, image: bytes | npt.NDArray[np.uint8]) -> tuple[str, bool]:
    manifest = package.manifest
    (source,), (scores,) = manifest.input_names, manifest.output_names
    feeds, kind = {source: prepare(image, manifest.require_picture())}, manifest.output_kind or ScoreKind.LOGITS
    output = engine.run(package.digest, feeds, [scores])[scores]
    (confident,) = confidence(as_classes(output, kind), kind)
    return manifest.labels[int(np.argmax(output))], bool(confident >= SURE)
