"""Torchvision's families at their own sizes: each is imported, built, tried out as a companion does, and cut.

`python -m tests.bench.families [NAME…]` takes hours and up to 20 GB of memory for the largest; what is done already
stands in the file of `--json` and is not done again. The weights are random, and 0 is the exit status if every network
is imported, accepted with batching, and equal when cut.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from collab_sdk.errors import CollabError
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.importers import Imported, ImportOptions, resolve
from collabd.catalog.package.package import Package
from collabd.catalog.trial.apart import try_apart
from collabd.engine import Engine
from tests.bench.table import table

# Small ones first.
FAMILIES = {
    "ResNet": "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d "
    "wide_resnet50_2 wide_resnet101_2",
    "VGG": "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
    "ConvNeXt": "convnext_tiny convnext_small convnext_base convnext_large",
    "Swin": "swin_t swin_s swin_b swin_v2_t swin_v2_s swin_v2_b",
    "EfficientNet": "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 "
    "efficientnet_b6 efficientnet_b7 efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l",
    "ViT": "vit_b_32 vit_b_16 vit_l_32 vit_l_16 vit_h_14",
}
NAMES = tuple(name for names in FAMILIES.values() for name in names.split())
# Share of the scores' range. Head and tail add their numbers in another order than the whole network.
EQUAL = 1e-4
_CACHE_BYTES = 1 << 26
_YES_NO = ("imported", "accepted", "batching")


@dataclass(frozen=True)
class Row:
    """`error`: the largest at any candidate cut, of the range of the scores; None: not found out."""

    name: str
    size: str = ""
    imported: bool = False
    accepted: bool = False
    batching: bool = False
    cuts: int = 0
    error: float | None = None
    why: str = ""

    @property
    def sound(self) -> bool:
        """Whether all is as it should be."""
        return self.accepted and self.batching and self.error is not None and self.error <= EQUAL


def examine(name: str) -> Row:
    """All of one network, in this process."""
    known = Row(name)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            network = resolve(f"torchvision:{name}", ImportOptions(weights="random"))
            for row in _steps(network, Path(scratch) / "package"):
                known = row
    except CollabError as error:
        return replace(known, why=str(error)[:200])
    return known


def _steps(network: Imported, out: Path) -> Iterator[Row]:
    """What is known after each step of an imported network, built as `out`."""
    wanted = network.preprocessing
    yield (row := Row(network.name, f"{wanted.height}x{wanted.width}", imported=True))
    package = build(
        network.model,
        name=network.name,
        labels=network.labels,
        preprocessing=wanted,
        licence=network.licence,
        provenance=network.provenance,
        out=out,
    )
    manifest = package.manifest
    error = cut_error(package)
    yield (row := replace(row, batching=manifest.dynamic_batch, cuts=len(manifest.cuts), error=error))
    try_apart(out)
    yield replace(row, accepted=True)


def cut_error(package: Package) -> float:
    """The largest difference that cutting makes, at any candidate cut, of the range of the scores of two images."""
    manifest = package.manifest
    network = package.network()
    engine = Engine(threads=2, cache_bytes=_CACHE_BYTES)
    engine.add("whole", network)
    sides = manifest.preprocessing.height, manifest.preprocessing.width
    images = np.random.default_rng(5).integers(0, 256, (2 if manifest.dynamic_batch else 1, *sides, 3), dtype=np.uint8)
    source = {manifest.input: images}
    scores = engine.run("whole", source, [manifest.output])[manifest.output]
    worst = 0.0
    for cut in manifest.cuts[1:]:
        made = [name for name in cut.tensors if name != manifest.input]
        features = engine.run("whole", source, made) | {name: images for name in cut.tensors if name not in made}
        tail = engine.run("whole", features, [manifest.output])[manifest.output]
        worst = max(worst, float(np.abs(tail - scores).max() / np.ptp(scores)))
    return worst


def _in_a_process(name: str) -> Row:
    """Use one process for each network, so that its memory is free afterwards."""
    command = [sys.executable, "-m", "tests.bench.families", "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return Row(name, why=f"ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return Row(**json.loads(done.stdout))


def show(rows: Sequence[Row]) -> str:
    """As a table, with the sums below."""
    worst = max((row.error for row in rows if row.error is not None), default=0.0)
    imported, accepted, batching = (sum(getattr(row, field) for row in rows) for field in _YES_NO)
    sums = f"{len(rows)} networks: {imported} imported, {accepted} accepted, {batching} batching, error {worst:.1e}"
    return f"{table(('network', 'size', *_YES_NO, 'cuts', 'error', 'why'), [_cells(row) for row in rows])}\n{sums}"


def _cells(row: Row) -> tuple[str, ...]:
    answers = ("yes" if getattr(row, field) else "no" for field in _YES_NO)
    return (row.name, row.size, *answers, str(row.cuts), "" if row.error is None else f"{row.error:.1e}", row.why)


def main() -> int:
    """Examine what is not examined yet, and show all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.families", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="torchvision's names (default: all)")
    parser.add_argument("--json", type=Path, default=Path("build/families.json"), help="the results so far")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(asdict(examine(given.names[0]))))
        return 0
    given.json.parent.mkdir(parents=True, exist_ok=True)
    rows = [Row(**row) for row in json.loads(given.json.read_text())] if given.json.exists() else []
    for name in given.names or NAMES:
        if name not in {row.name for row in rows}:
            rows.append(_in_a_process(name))
            given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
            print(rows[-1], flush=True)
    print(show(rows))
    return not all(row.sound for row in rows)


if __name__ == "__main__":
    sys.exit(main())
