"""Pair the packages that come with collabd: `python -m models.pair --data PATH`, after `models.quantise`.

Each pair is a big network and a little one, which answers in its place where it is sure. A pair names the little
package by its digest, so it is made anew whenever that is. `--data`: the CIFAR-10 JPEGs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from collabd.catalog.authoring.pairing import pair
from collabd.catalog.package.package import load
from models import cifar10

__all__ = ["PAIRS", "main"]

_HERE = Path(__file__).parent
# Big and little. For photographs there is none: no smaller network was to be had whose labels are the same.
PAIRS = {"vgg16_cifar10": "alexnet_cifar10"}
# All test images that calibrate, and none that check: a pair is sure of few errors in a thousand only by many images.
_EACH_CLASS = 250


def main(arguments: Sequence[str] | None = None, *, into: Path = _HERE) -> None:
    """Write `into`/<big>/package anew for each pair."""
    parser = argparse.ArgumentParser(prog="python -m models.pair", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of the CIFAR-10 JPEGs")
    images = [image for image, _ in cifar10.calibrating(parser.parse_args(arguments).data, _EACH_CLASS)]
    for big, little in PAIRS.items():
        out = into / big / "package"
        print(f"{out}: {pair(load(out), load(into / little / 'package'), images, out=out).digest}")


if __name__ == "__main__":
    main()
