"""Build a package of an ONNX file that a client sent: a detector, and the values that the client itself makes.

`python -m collabd.catalog.authoring.sent FILE NAME DIRECTORY MIN_CONFIDENCE IOU_THRESHOLD` builds one in a process of
its own, within bounds of memory and time, so that a file which breaks the libraries breaks nothing else. It prints what
it took the file for, as JSON, or the reason why it refused it.

Such a client resizes the picture, orders its channels, and scales it. So the network gets exactly these values: no
channels are turned, and nothing is normalised that the client did not normalise.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import onnx

from collab_sdk.errors import CollabError, InvalidPackage
from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.detect.heads import without_sizes
from collabd.catalog.authoring.detect.metadata import image_size
from collabd.catalog.authoring.detect.take import as_detector, detector_in
from collabd.catalog.authoring.detect.yolox import YOLOX
from collabd.catalog.authoring.foreign import Wanted, opened, read
from collabd.catalog.authoring.foreign.image_input import layout_of
from collabd.catalog.authoring.foreign.standard import standard
from collabd.catalog.package.manifest import Detect, Picture
from collabd.catalog.package.package import Package
from collabd.catalog.package.sent_detector import SentDetector
from collabd.catalog.trial.apart import REFUSED, try_apart

# As for the trial of a package, with time for a small board to build it.
_BYTES_A_BYTE = 16
_BYTES = 3 << 30
_CPU_S = 1800
# Calls come first.
_NICE = 10
_NO_MEAN = (0.0, 0.0, 0.0)
# Its picture is not divided by 255.
_AS_PIXELS = frozenset({YOLOX.name})


def take(
    path: Path, directory: Path, *, name: str, min_confidence: float, iou_threshold: float
) -> tuple[SentDetector, Package]:
    """Build the detector in the ONNX file `path` as the package `name` in `directory`.

    Raises `InvalidRequest` or `InvalidPackage`, with the reason.
    """
    model = _standard(path)
    graph = opened(model, _values(model, most=1.0))
    found = detector_in(model, graph, decoder=None, labels=None)
    if found is None or graph.size is None:
        outputs = ", ".join(graph.found)
        raise InvalidPackage(f"it is no detector that collabd knows (its outputs are {outputs})")
    levels = found.family.name in _AS_PIXELS
    wanted = _values(model, most=255.0 if levels else 1.0)
    detector = as_detector(model, found, wanted, labels=None, iou_threshold=iou_threshold)
    package = build(
        detector.model,
        name=name,
        task=Detect(classes=detector.classes, score_threshold=min_confidence, iou_threshold=iou_threshold),
        picture=Picture(height=graph.size[0], width=graph.size[1], rule="stretch"),
        licence="not stated",
        provenance=f"ONNX file sent to a door: {detector.notes[0]}",
        tell=lambda _: None,
        out=directory,
    )
    return SentDetector(found.family.name, None if layout_of(model.graph).is_bytes else levels), package


def _standard(path: Path) -> onnx.ModelProto:
    model = read(path)
    return without_sizes(standard(model), image_size(model))


def _values(model: onnx.ModelProto, *, most: float) -> Wanted:
    """A picture with the values 0 to `most`."""
    return Wanted(mean=_NO_MEAN, std=(1 / most,) * 3, size=image_size(model))


def _bound(path: Path) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + _BYTES + _BYTES_A_BYTE * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A service that may not change priorities goes without.
    with suppress(PermissionError):
        os.nice(_NICE)


def main(*arguments: str) -> int:
    """The exit status: 0 if the package was built and passed its trial, `REFUSED` if not."""
    path, name, directory, min_confidence, iou_threshold = arguments
    try:
        _bound(Path(path))
        taken, package = take(
            Path(path),
            Path(directory),
            name=name,
            min_confidence=float(min_confidence),
            iou_threshold=float(iou_threshold),
        )
        try_apart(package.path)
    except CollabError as error:
        sys.stdout.write(str(error))
        return REFUSED
    except MemoryError:
        sys.stdout.write("building a package of it takes more memory than one package may take")
        return REFUSED
    sys.stdout.buffer.write(msgspec.json.encode(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
