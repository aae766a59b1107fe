"""Write models/samples from their sources: `python -m models.collect_samples --data CIFAR_ZIP --debian ROOT`.

ROOT holds the contents of the Debian packages that models/README.md names, unpacked with `dpkg-deb --extract`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from PIL import Image

from models.cifar10 import CLASSES, checking
from models.photographs import PHOTOGRAPHS, photograph

__all__ = ["collect_cifar10", "collect_objects", "collect_photographs"]

_SAMPLES = Path(__file__).parent / "samples"
_EACH = 10
_BACKGROUNDS = "usr/share/backgrounds"
# Photographs, and the part of each that is shown: left, top, right and bottom, as shares of its sides.
_PARTS: Mapping[str, tuple[str, tuple[float, float, float, float]]] = {
    "dogs": ("friends_by_Aitzol_Berasategi.jpg", (0, 0.1, 1, 0.75)),
    "wine": ("Wine_by_Jakkub_Mede.jpg", (0, 0, 1, 0.6)),
}
_LONGER_SIDE = 640
_PORTRAIT = "mpl-data/sample_data/grace_hopper.jpg"


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


def collect_objects(debian: Path, into: Path) -> None:
    """Write the photographs of several objects to `into`: parts of two from Debian, and Matplotlib's as it is."""
    into.mkdir(parents=True, exist_ok=True)
    for name, (file, part) in _PARTS.items():
        with Image.open(debian / _BACKGROUNDS / file) as whole:
            left, top, right, bottom = (round(share * side) for share, side in zip(part, whole.size * 2, strict=True))
            shown = whole.convert("RGB").crop((left, top, right, bottom))
        shown.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
        shown.save(into / f"{name}.jpg", quality=85)
    (into / "grace_hopper.jpg").write_bytes((files("matplotlib") / _PORTRAIT).read_bytes())


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(prog="python -m models.collect_samples", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("--debian", type=Path, required=True, help="folder of the unpacked Debian packages")
    given = parser.parse_args()
    collect_cifar10(given.data, _SAMPLES / "cifar10")
    collect_photographs(_SAMPLES / "photos")
    collect_objects(given.debian, _SAMPLES / "objects")


if __name__ == "__main__":
    main()
