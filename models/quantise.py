"""Give the packages that come with collabd an int8 graph: `python -m models.quantise [NAME…]`, after `models.build`.

`--data`: the CIFAR-10 JPEGs; `--photographs`: what calibrates the others. The segmenter has none: it is small, and
half of it are operators that the runtime computes in float, so int8 was slower.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from collabd.catalog.authoring.quantise.package import quantise
from collabd.catalog.package.package import load
from models.calibration import calibrating
from models.networks import CIFAR10_NETWORKS

__all__ = ["NAMES", "main"]

_HERE = Path(__file__).parent
NAMES = (*CIFAR10_NETWORKS, "efficientnet_lite0", "nanodet_g")


def main(arguments: Sequence[str] | None = None, *, into: Path = _HERE) -> None:
    """Write `into`/<name>/package anew, each with the graph and the figures of int8 beside those of fp32."""
    parser = argparse.ArgumentParser(prog="python -m models.quantise", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (else all)")
    parser.add_argument("--data", type=Path, help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("--photographs", type=Path, help="folder of photographs (models/README.md)")
    given = parser.parse_args(arguments)
    names = given.names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"{', '.join(unknown)}: no network of {', '.join(NAMES)}")
    sources = {name: given.data if name in CIFAR10_NETWORKS else given.photographs for name in names}
    if missing := [name for name, source in sources.items() if source is None]:
        parser.error(f"{', '.join(missing)}: the CIFAR-10 networks need --data, the others --photographs")
    for name, source in sources.items():
        out = into / name / "package"
        print(f"{out}: {quantise(load(out), calibrating(name, source), tell=print, out=out).digest}")


if __name__ == "__main__":
    main()
