"""Write models/samples from their sources: `python -m models.collect_samples --data CIFAR_ZIP`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from models.cifar10 import CLASSES, checking
from models.photographs import PHOTOGRAPHS, photograph

__all__ = ["collect_cifar10", "collect_photographs"]

_SAMPLES = Path(__file__).parent / "samples"
_EACH = 10


def collect_cifar10(data: Path, into: Path) -> None:
    """Copy the first ten test JPEGs of each class, which calibrate nothing, to `into/<class>/NNNN.jpg`."""
    images = checking(data, _EACH)
    for label, name in enumerate(CLASSES):
        (into / name).mkdir(parents=True, exist_ok=True)
        for number, jpeg in enumerate(image for image, its in images if its == label):
            (into / name / f"{number:04}.jpg").write_bytes(jpeg)


def collect_photographs(into: Path) -> None:
    """Write the photographs to `into/<name>.jpg` as a camera would, at quality 90."""
    into.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        Image.fromarray(photograph(name)).save(into / f"{name}.jpg", quality=90)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(prog="python -m models.collect_samples", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of the CIFAR-10 JPEGs")
    collect_cifar10(parser.parse_args().data, _SAMPLES / "cifar10")
    collect_photographs(_SAMPLES / "photos")


if __name__ == "__main__":
    main()
