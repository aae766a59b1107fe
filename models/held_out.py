"""Write the CIFAR-10 test images that calibrate nothing: `python -m models.held_out --data DATA OUT.zip`.

`collabctl simulate --pictures OUT.zip` tells with them the fidelity that answers really have.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path

from models import cifar10

__all__ = ["main"]

# All that there are.
_EACH_CLASS = 250


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a zip of JPEGs, `<class>/NNNN.jpg`."""
    parser = argparse.ArgumentParser(prog="python -m models.held_out", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("out", type=Path, metavar="OUT.zip")
    given = parser.parse_args(arguments)
    images = cifar10.checking(given.data, _EACH_CLASS)
    with zipfile.ZipFile(given.out, "w") as archive:
        for index, (image, label) in enumerate(images):
            archive.writestr(f"{cifar10.CLASSES[label]}/{index:04}.jpg", image)
    print(f"{given.out}: {len(images)} images")


if __name__ == "__main__":
    main()
