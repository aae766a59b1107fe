"""`python -m tests.bench.fidelity`: what packages promise of lossy codecs and of int8, beside unseen images.

The CIFAR-10 networks see test images of the half that calibrates nothing, EfficientNet-Lite0 crops of the sample
photographs. Exits 1 if a plan that the default fidelity allows agrees less often than that, by more than chance
explains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from collab_sdk.vocabulary import Precision
from collabd.catalog.authoring.calibration_pixels import Samples, calibration_pixels
from collabd.catalog.package.manifest import Agreement, CodecFigures
from collabd.catalog.package.package import Package, load
from collabd.config import PlanningSettings
from collabd.partition import CutSpec
from collabd.profiling.calibrate import Calibration
from collabd.profiling.likeness.likeness import likeness_of
from models.build import NAMES
from models.cifar10 import checking
from models.networks import CIFAR10_NETWORKS
from models.photographs import crops
from tests.bench.shipped import MODELS
from tests.bench.table import table

_CROPS_EACH = 40
_TEST_IMAGES_EACH = 100
_PHOTOGRAPHS = sorted((MODELS / "samples/photos").glob("*.jpg"))
_DEVIATIONS = 3
Pair: TypeAlias = tuple[Precision, Precision]
_HEADINGS = ("cut", "codec", "precision", "bytes", "promised", "sure", "agree", "all", "agree", "")


def main() -> None:
    """Measure, print, and tell by the exit status."""
    given = _arguments()
    faults = [fault for name in given.networks for fault in _measure(name, given.data)]
    print("\n".join(faults))
    sys.exit(bool(faults))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=list(NAMES))
    return parser.parse_args()


def _measure(name: str, data: Path) -> list[str]:
    """Print a network's table; what promises too much."""
    package = load(MODELS / name / "package")
    unseen: Sequence[bytes | npt.NDArray[np.uint8]] = (
        [image for image, _ in checking(data, _TEST_IMAGES_EACH)]
        if name in CIFAR10_NETWORKS
        else crops(_PHOTOGRAPHS, _CROPS_EACH)
    )
    samples = calibration_pixels(unseen, package.manifest.require_picture())
    rows, faults = [], []
    for cut, promised, found in compared(package, samples):
        agreement = found.agreement
        assert agreement is not None
        is_good = not is_allowed(promised) or keeps_default(agreement)
        rows.append(_row(cut, promised, found, agreement, "" if is_good else "TOO FEW"))
        if not is_good:
            faults.append(f"{name}, cut {cut}, {found.codec} {found.head}/{found.tail}: {agreement}")
    print(f"{name}: {len(samples.pixels)} images that it was not calibrated on")
    print(table(_HEADINGS, rows), flush=True)
    return faults


def compared(
    package: Package, samples: Samples, *, only: Pair | None = None
) -> Iterator[tuple[str, CodecFigures | None, CodecFigures]]:
    """Cut, the package's figures of what may change answers there, and its figures over the `samples`.

    `only`: the precisions before and behind the cut; None: all that the package has.
    """
    networks = package.networks()
    calibration = Calibration(networks[Precision.FP32], samples.pixels, int8=networks.get(Precision.INT8))
    likeness = likeness_of(package.manifest, calibration.outputs, samples.sizes)
    for cut in package.manifest.cuts:
        promised = {(figures.codec, figures.head, figures.tail): figures for figures in cut.codecs}
        pairs = [only] if only else [*dict.fromkeys((figures.head, figures.tail) for figures in cut.codecs)]
        spec = CutSpec(cut.name, cut.head_layers, cut.tensors)
        for found in calibration.figures(spec, likeness, pairs=pairs):
            if found.agreement is not None:
                yield cut.name, promised.get((found.codec, found.head, found.tail)), found


def is_allowed(promised: CodecFigures | None) -> bool:
    """Whether calls that state no fidelity may travel so."""
    return promised is not None and promised.fidelity >= PlanningSettings().min_fidelity


def keeps_default(agreement: Agreement) -> bool:
    """Whether no fewer agree than chance explains where the default fidelity is the true one."""
    return keeps(agreement, PlanningSettings().min_fidelity)


def keeps(agreement: Agreement, fidelity: float) -> bool:
    """Whether no fewer agree than chance explains where this fidelity is the true one."""
    images = agreement.sure_images
    return agreement.sure_agreed >= images * fidelity - _DEVIATIONS * sqrt(images * fidelity * (1 - fidelity))


def _row(
    cut: str, promised: CodecFigures | None, found: CodecFigures, agreement: Agreement, verdict: str
) -> tuple[str, ...]:
    return (
        cut,
        found.codec,
        f"{found.head}/{found.tail}",
        f"{found.bytes_median}",
        "not kept" if promised is None else f"{promised.fidelity:.2%}",
        f"{agreement.sure_agreed} of {agreement.sure_images}",
        f"{agreement.sure_agreed / max(agreement.sure_images, 1):.2%}",
        f"{agreement.agreed} of {agreement.images}",
        f"{agreement.agreed / agreement.images:.2%}",
        verdict,
    )


if __name__ == "__main__":
    main()
