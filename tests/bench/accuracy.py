"""`make accuracy DATA=…`: every split through both daemons over the CIFAR-10 test images, beside the unsplit network.

DATA is a folder or zip of `test/<class>/NNNN.jpg`. Exits 1 if a lossless split answers otherwise than the unsplit
network, if q8 agrees with it too rarely, or if the network is not as accurate as its package says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from collab_sdk import Client
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import load
from models.cifar10 import jpegs
from models.networks import CIFAR10_NETWORKS
from tests.bench.daemons import Daemons
from tests.bench.shipped import MODELS
from tests.bench.sweep import Outcome, Sweep, splits
from tests.bench.table import table

Image = tuple[bytes, int]

_LARGEST_DEPARTURE = 0.002
_HEADINGS = ("cut", "codec", "bytes up", "differing", "agreement", "top-1", "largest change", "widest tie", "")


def main() -> None:
    """Measure, print, and tell by the exit status."""
    given = _arguments()
    images = balanced(list(jpegs(given.data, "test")))[: given.images]
    with tempfile.TemporaryDirectory(prefix="collabd-accuracy-") as scratch:
        directory = Path(scratch)
        with Daemons(_linked(given.networks, directory / "models"), directory) as daemons:
            _progress("starting and profiling both daemons ...")
            daemons.until_both_ready()
            with Client(daemons.socket) as client:
                faults = [_measure(client, name, images) for name in given.networks]
            print(f"The companion ran {daemons.mean_batch():.1f} images at a time on average.")
    sys.exit(any(faults))


def balanced(images: Sequence[Image]) -> list[Image]:
    """The first of each class, then the second of each, and so on."""
    classes: defaultdict[int, list[Image]] = defaultdict(list)
    for image in images:
        classes[image[1]].append(image)
    return [image for row in zip_longest(*classes.values()) for image in row if image is not None]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy", description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("--networks", nargs="+", choices=CIFAR10_NETWORKS, default=list(CIFAR10_NETWORKS))
    parser.add_argument("--images", type=int, help="so many, the same number of each class (else all)")
    return parser.parse_args()


def _linked(networks: Sequence[str], root: Path) -> Path:
    """A folder of just these packages, since all that the daemons find they also profile."""
    root.mkdir()
    for name in networks:
        (root / name).symlink_to(MODELS / name / "package")
    return root


def _measure(client: Client, name: str, images: Sequence[Image]) -> bool:
    """Print a network's table; whether something is wrong."""
    manifest = load(MODELS / name / "package").manifest
    _progress(f"{name}: unsplit, {len(images)} images")
    sweep = Sweep(client, manifest, images)
    total, outcomes = len(splits(manifest)), []
    for outcome in sweep.outcomes():
        outcomes.append(outcome)
        split = f"{outcome.split.cut}/{outcome.split.codec}"
        _progress(f"{name} {len(outcomes)} of {total}, {split}: {outcome.differing} differ, {outcome.seconds:.0f} s")
    accuracy, is_accurate = _accuracy(manifest, sweep.right, len(images))
    print(f"{name}: {len(images)} images. {accuracy}")
    print(table(_HEADINGS, [_row(outcome) for outcome in outcomes]))
    print(
        "largest change: of any probability. widest tie: among the answers that differ, the largest lead of the "
        "unsplit network's first class over its second.\n",
        flush=True,
    )
    return not (is_accurate and all(outcome.is_good for outcome in outcomes))


def _accuracy(manifest: Manifest, right: int, images: int) -> tuple[str, bool]:
    """The unsplit network's top-1 beside its package's figure, which holds for as many images as it was taken over."""
    top1 = right / images
    stated = manifest.accuracy
    if stated is None:
        return f"Unsplit top-1 {top1:.2%}; the package states none.", True
    departure = top1 - float(stated["top1"])
    is_accurate = images != stated["images"] or abs(departure) <= _LARGEST_DEPARTURE
    text = (
        f"Unsplit top-1 {top1:.2%}; the package states {stated['top1']:.2%} over {stated['images']}: "
        f"{departure * 100:+.2f} points{'' if is_accurate else ', WRONG'}."
    )
    return text, is_accurate


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.split.cut,
        outcome.split.codec,
        f"{outcome.bytes_up} B",
        f"{outcome.differing} of {outcome.images}",
        f"{outcome.agreement:.2%}",
        f"{outcome.right / outcome.images:.2%}",
        f"{outcome.largest_change:.1e}",
        f"{outcome.widest_tie:.1e}" if outcome.differing else "",
        "" if outcome.is_good else f"WRONG: at least {outcome.split.least:.1%}",
    )


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
