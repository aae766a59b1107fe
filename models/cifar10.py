"""CIFAR-10: as JPEGs in a folder or a zip (`train/<class>/NNNN.jpg`), else as torchvision downloads it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

__all__ = [
    "CLASSES",
    "MEAN",
    "SIDE",
    "STD",
    "Split",
    "SplitName",
    "calibrating",
    "checking",
    "jpegs",
    "load",
    "normalised",
]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
SIDE = 32
SplitName = Literal["train", "test"]
_DOWNLOADS = Path("~/.cache/collabd/cifar10")


@dataclass(frozen=True)
class Split:
    """`images` uint8 [count, 3, 32, 32] and `labels` int64 [count], on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Split:
        """The same on another device."""
        return Split(self.images.to(device), self.labels.to(device))


def load(data: Path | None, split: SplitName, *, download: Callable[..., CIFAR10] = CIFAR10) -> Split:
    """Read a split from a folder or zip of JPEGs; if `data` is None, by `download`, once, from torchvision."""
    if data is None:
        return _split(download(_DOWNLOADS.expanduser(), train=split == "train", download=True))
    pixels, labels = zip(*((_pixels(jpeg), label) for jpeg, label in jpegs(data, split)), strict=True)
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor(labels))


def jpegs(data: Path, split: SplitName) -> Iterator[tuple[bytes, int]]:
    """Each JPEG of a split with the index of its class, in order of class and file name.

    Raises `FileNotFoundError` if there is none.
    """
    found = sorted(_files(data, split))
    if not found:
        raise FileNotFoundError(f"{data} has no {split}/<class>/*.jpg of the classes {', '.join(CLASSES)}")
    if data.is_dir():
        yield from (((data / name).read_bytes(), _label(name)) for name in found)
        return
    with zipfile.ZipFile(data) as archive:
        yield from ((archive.read(name), _label(name)) for name in found)


def calibrating(data: Path, each: int) -> list[tuple[bytes, int]]:
    """At most `each` test images of each class that calibrate codecs: the first in the second half of the class.

    No training images: a network is surer of those than of what it will see.
    """
    return [(image, label) for label, images in enumerate(_tested(data)) for image in images[_half(images) :][:each]]


def checking(data: Path, each: int) -> list[tuple[bytes, int]]:
    """At most `each` test images of each class that calibrate nothing: the first in the first half of the class."""
    return [(image, label) for label, images in enumerate(_tested(data)) for image in images[: _half(images)][:each]]


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Float32 of the same shape, as the networks take it, from uint8 [count, 3, height, width]."""
    mean, std = (torch.tensor(values, device=images.device).view(-1, 1, 1) for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def _tested(data: Path) -> list[list[bytes]]:
    """The test images of each class."""
    found: list[list[bytes]] = [[] for _ in CLASSES]
    for image, label in jpegs(data, "test"):
        found[label].append(image)
    return found


def _half(images: list[bytes]) -> int:
    return (len(images) + 1) // 2


def _files(data: Path, split: SplitName) -> list[str]:
    if data.is_dir():
        names = [path.relative_to(data).as_posix() for path in (data / split).glob("*/*.jpg")]
    else:
        with zipfile.ZipFile(data) as archive:
            names = archive.namelist()
    return [name for name in names if _belongs(PurePosixPath(name), split)]


def _belongs(path: PurePosixPath, split: SplitName) -> bool:
    return len(path.parts) == 3 and path.parts[0] == split and path.parts[1] in CLASSES and path.suffix == ".jpg"


def _label(name: str) -> int:
    return CLASSES.index(PurePosixPath(name).parts[1])


def _pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def _split(source: CIFAR10) -> Split:
    return Split(torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(source.targets))
