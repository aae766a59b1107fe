"""`python -m tests.bench.fidelity`: what the packages promise of lossy codecs, beside images that they have not seen.

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

import numpy as np
import numpy.typing as npt

from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.package.manifest import Agreement, CodecFigures
from collabd.catalog.package.package import Package, load
from collabd.config import PlanningSettings
from collabd.partition import CutSpec
from collabd.profiling.calibrate import Calibration
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
_HEADINGS = ("cut", "codec", "bytes", "promised", "sure", "agree", "all", "agree", "")


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
    pixels = calibration_pixels(unseen, package.manifest.preprocessing)
    calibration = Calibration(package.network(), pixels)
    rows, faults = [], []
    for cut, promised, found in compared(package, calibration):
        agreement = found.agreement
        assert agreement is not None
        is_good = not is_allowed(promised) or keeps_default(agreement)
        rows.append(_row(cut, promised, found, agreement, "" if is_good else "TOO FEW"))
        if not is_good:
            faults.append(f"{name}, cut {cut}, {found.codec}: {agreement}")
    print(f"{name}: {len(calibration.images)} images that it was not calibrated on")
    print(table(_HEADINGS, rows), flush=True)
    return faults


def compared(package: Package, calibration: Calibration) -> Iterator[tuple[str, CodecFigures | None, CodecFigures]]:
    """Cut, the package's figures of a lossy codec, and its figures over the images of `calibration`."""
    for cut in package.manifest.cuts:
        promised = {figures.codec: figures for figures in cut.codecs}
        spec = CutSpec(cut.name, cut.head_layers, cut.tensors)
        for found in calibration.figures(spec, package.manifest.output_kind):
            if found.agreement is not None:
                yield cut.name, promised.get(found.codec), found


def is_allowed(promised: CodecFigures | None) -> bool:
    """Whether calls that state no fidelity may travel so."""
    return promised is not None and promised.fidelity >= PlanningSettings().min_fidelity


def keeps_default(agreement: Agreement) -> bool:
    """Whether no fewer agree than chance explains where the default fidelity is the true one."""
    least, images = PlanningSettings().min_fidelity, agreement.sure_images
    return agreement.sure_agreed >= images * least - _DEVIATIONS * sqrt(images * least * (1 - least))


def _row(
    cut: str, promised: CodecFigures | None, found: CodecFigures, agreement: Agreement, verdict: str
) -> tuple[str, ...]:
    return (
        cut,
        found.codec,
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
