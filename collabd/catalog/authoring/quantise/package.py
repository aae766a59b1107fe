"""A package, and the same with an int8 graph beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.calibrated import Tell
from collabd.catalog.authoring.calibration_pixels import calibration_pixels
from collabd.catalog.authoring.quantise.variant import int8_variant, require_enough
from collabd.catalog.package.manifest import Manifest
from collabd.catalog.package.package import LICENCE, MODEL, Package, write
from collabd.engine import EngineError
from collabd.tracking import Track, untracked


def quantise(
    package: Package, images: Sequence[bytes | np.ndarray], *, tell: Tell, track: Track = untracked, out: Path
) -> Package:
    """Write `package` with an int8 graph as directory `out`, replacing what is there, which may be the package itself.

    `images` (encoded, or uint8 [height, width, 3]) calibrate it. Its fp32 graph, and what is said of that, stay as they
    are. `track` goes through what takes long. Raises `InvalidRequest` if the images do not suffice, `InvalidImage` if
    one cannot be read, and `InvalidPackage` if int8 is no use to this network.
    """
    manifest = package.manifest
    require_enough(manifest.name, manifest.picture, len(images))
    samples = calibration_pixels(images, manifest.require_picture())
    model, licence = (package.path / MODEL).read_bytes(), (package.path / LICENCE).read_text()
    try:
        variant = int8_variant(manifest, onnx.load_model_from_string(model), samples, tell=tell, track=track)
    except EngineError as error:
        raise InvalidPackage(f"collabd cannot run {manifest.name} in int8: {error}") from error
    written = write(out, variant.manifest, model=model, licence=licence, int8=variant.model)
    written.networks()
    tell(summary(written.manifest, len(model), len(variant.model)))
    return written


def summary(manifest: Manifest, fp32_bytes: int, int8_bytes: int) -> str:
    """What became of it, in words."""
    whole = manifest.whole_int8
    sizes = f"its graph takes {int8_bytes / 1e6:.1f} MB, that of fp32 {fp32_bytes / 1e6:.1f} MB"
    if whole is None:
        return f"int8: {sizes}"
    told = f"int8: fidelity of {whole.fidelity:.1%} promised"
    if whole.agreement is not None:
        counted = whole.agreement
        told += (
            f", for {counted.sure_agreed} of {counted.sure_images} telling pictures and {counted.agreed} of "
            f"{counted.images} in all had the answer of fp32"
        )
    return f"{told}; {sizes}"
