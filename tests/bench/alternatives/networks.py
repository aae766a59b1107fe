"""The networks that are compared, as packages, and images for them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import ImportOptions, resolve
from collabd.catalog.package.package import MANIFEST
from tests.bench.shipped import MODELS

SHIPPED = ("alexnet_cifar10", "vgg16_cifar10", "efficientnet_lite0", "nanodet_g")
TORCHVISION = ("mobilenet_v2", "resnet18", "resnet50")
CIFAR = ("alexnet_cifar10", "vgg16_cifar10")
DETECTORS = ("nanodet_g",)
# By network, the little one that its package names.
PAIRS = {"vgg16_cifar10": "alexnet_cifar10"}
# What a camera gives.
FRAME = (640, 480)
JPEG_QUALITY = 90
_SAMPLES = MODELS / "samples"
# Of a pair, how much is gained depends on the picture, so there are more.
_FILES, _FILES_OF_A_PAIR = 8, 50


def package(name: str, built: Path) -> Path:
    """The package directory of a network; torchvision's are built into the folder `built` where they are missing."""
    if name in SHIPPED:
        return MODELS / name / "package"
    out = built / name
    if not (out / MANIFEST).exists():
        _build(name, out)
    return out


def files(name: str) -> list[bytes]:
    """JPEG files as they come: photographs of a camera's size, or small pictures for the networks of CIFAR-10."""
    if name in CIFAR:
        paths, wanted = sorted((_SAMPLES / "cifar10").glob("*/*.jpg")), _FILES_OF_A_PAIR if name in PAIRS else _FILES
        return [path.read_bytes() for path in paths[:: max(len(paths) // wanted, 1)][:wanted]]
    return [_jpeg(photograph) for photograph in _photographs()]


def frames() -> list[np.ndarray]:
    """The photographs as a camera's frames, uint8 [480, 640, 3]."""
    return [np.asarray(photograph) for photograph in _photographs()]


def _build(name: str, out: Path) -> None:
    """With trained weights where torchvision can download them: with random ones hardly a lossy codec is faithful."""
    try:
        network = resolve(f"torchvision:{name}")
    except InvalidRequest:
        print(f"{name}: no weights can be downloaded; random ones take the same time")
        network = resolve(f"torchvision:{name}", ImportOptions(weights="random"))
    out.parent.mkdir(parents=True, exist_ok=True)
    build(
        network.model,
        name=network.name,
        task=network.task,
        picture=network.picture,
        licence=network.licence,
        provenance=network.provenance,
        images=files(name),
        out=out,
    )


def _photographs() -> list[Image.Image]:
    paths = sorted((_SAMPLES / "photos").glob("*.jpg"))
    return [Image.open(path).convert("RGB").resize(FRAME) for path in paths]


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
