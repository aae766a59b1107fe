"""A few generated CIFAR-10 JPEGs in the layout of the data set."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.cifar10 import CLASSES

EACH = 3
# So small a work is slowed down by threads, and on a busy machine without end.
torch.set_num_threads(1)


def jpeg(label: int, number: int) -> bytes:
    """32 x 32 pixels of a colour of the class, with a little noise."""
    random = np.random.default_rng(100 * label + number)
    colour = np.array([25 * label, 255 - 25 * label, 128])
    pixels = np.clip(colour + random.integers(-9, 10, (32, 32, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def cifar_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cifar10")
    for split in ("train", "test"):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for number in range(EACH):
                (root / split / name / f"{number:04}.jpg").write_bytes(jpeg(label, number))
    (root / "train" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture(scope="session")
def cifar_zip(cifar_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "cifar10.zip"
    with zipfile.ZipFile(path, "w") as archive:
        # Shuffled: an archive has its own order.
        for file in sorted(cifar_folder.rglob("*"), key=lambda file: file.name[::-1]):
            archive.write(file, file.relative_to(cifar_folder))
    return path
