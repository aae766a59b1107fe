"""Import a network from torchvision, from a PyTorch factory of the user, or from a file of ONNX or torch.export.

PyTorch, which comes with the extra `author`, is imported only where it is needed.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Literal

import onnx
from msgspec import structs

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.detect.family import IMAGENET_MEAN, IMAGENET_STD, Preset
from collabd.catalog.authoring.detect.heads import without_sizes
from collabd.catalog.authoring.detect.metadata import image_size
from collabd.catalog.authoring.detect.take import Detector, as_detector, detector_in
from collabd.catalog.authoring.foreign import (
    Classifier,
    Opened,
    TensorNetwork,
    Wanted,
    as_classifier,
    as_tensors,
    is_classifier,
    opened,
    read,
)
from collabd.catalog.authoring.foreign.image_input import ChannelOrder
from collabd.catalog.authoring.foreign.rewriting import feeds_of
from collabd.catalog.authoring.foreign.standard import standard
from collabd.catalog.package.manifest import Classify, Detect, Picture, Rule, Segment, Task, Tensors, labels_of

_TORCHVISION = "torchvision:"
_AUTHORING = frozenset({"torch", "torchvision", "onnxscript"})
_UNSTATED = "not stated"
_OF_PICTURES = ("size", "mean", "std", "rule", "resize_shorter")
# What is assumed of a network of which nothing is known.
_PLAIN = Preset(mean=IMAGENET_MEAN, std=IMAGENET_STD)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the user states of a network; None: as the source or its family says, else as ImageNet has it.

    `size` is (height, width); `mean` and `std` are of R, G and B in 0..1, whatever the `channels`, which are those that
    the network takes. `output` is the one of a file's outputs that holds the scores of a classifier. `decoder` is the
    family of a detector; it, the picture's `rule` and the thresholds are for files and factories. `weights` "random"
    keeps torchvision from downloading trained ones.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    resize_shorter: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: ChannelOrder | None = None
    rule: Rule | None = None
    decoder: str | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None
    licence: str | None = None
    output: str | None = None
    weights: Literal["default", "random"] = "default"

    def __post_init__(self) -> None:
        mean, std = self.mean or IMAGENET_MEAN, self.std or IMAGENET_STD
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0:
            raise InvalidRequest(
                f"mean {mean} and std {std} must have three numbers each, and those of std must be above 0"
            )
        if self.rule not in (None, "crop") and self.resize_shorter is not None:
            raise InvalidRequest(
                f"the rule {self.rule} crops nothing, but --resize-shorter does: leave one of them out"
            )


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network as `authoring.build.build` takes it. `notes` say what was decided for the user, a line each."""

    model: onnx.ModelProto
    name: str
    task: Task
    picture: Picture | None
    licence: str
    provenance: str
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes; empty if it has none."""
        return labels_of(self.task)


def resolve(source: str, options: ImportOptions | None = None) -> Imported:
    """Read the network that `source` names: `torchvision:NAME`, a file `.onnx` or `.pt2`, or `PACKAGE.MODULE:FACTORY`.

    A factory takes no arguments. It returns a `torch.nn.Module` that takes float32 [batch, 3, height, width], or a pair
    of a module and its inputs for one item (a tensor, several in a tuple, or by name in a dict). The task, size and
    normalisation of torchvision's networks come from torchvision. Any other network classifies if it makes a row of
    scores of an image, or else answers with its outputs as they are.

    Raises `InvalidRequest` if it cannot be found or downloaded or needs something that is not installed, and
    `InvalidPackage` if it cannot become a graph of fixed sizes.
    """
    options = options or ImportOptions()
    try:
        if source.startswith(_TORCHVISION):
            return _from_torchvision(source.removeprefix(_TORCHVISION), options)
        if source.lower().endswith((".onnx", ".pt2")):
            return _from_file(Path(source), options)
        if ":" in source:
            return _from_factory(source, options)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        hint = "pip install 'collabd[author]'" if module in _AUTHORING else "add its directory to PYTHONPATH"
        raise InvalidRequest(f"{source} needs the module {error.name}, which is not installed: {hint}") from error
    raise InvalidRequest(
        f"{source!r} names no network; give torchvision:NAME, PATH.onnx, PATH.pt2 or PACKAGE.MODULE:FACTORY"
    )


def _from_torchvision(name: str, options: ImportOptions) -> Imported:
    from collabd.catalog.authoring.pytorch.torchvision_networks import torchvision_network

    found = torchvision_network(name, size=options.size, trained=options.weights == "default")
    # What is wrong with the options is said before the minute that an export takes.
    task, picture = _labelled(found.task, options.labels), _cropped(found.picture, options.resize_shorter)
    return Imported(
        model=found.export(),
        name=options.name or name,
        task=task,
        picture=picture,
        licence=options.licence or found.licence,
        provenance=found.provenance,
    )


def _labelled(task: Task, labels: tuple[str, ...] | None) -> Task:
    """The task with the labels that the user states in place of torchvision's."""
    if labels is None:
        return task
    if len(labels) != (known := len(labels_of(task))):
        raise InvalidRequest(f"there are {len(labels)} labels, but the network tells {known} classes apart")
    match task:
        case Classify():
            return structs.replace(task, labels=labels)
        case Detect() | Segment():
            return structs.replace(task, classes=labels)
    return task


def _cropped(picture: Picture | None, shorter: int | None) -> Picture | None:
    if shorter is None:
        return picture
    if picture is None or picture.rule != "crop":
        raise InvalidRequest("--resize-shorter crops the picture, but this network sees all of it: leave it out")
    return structs.replace(picture, resize_shorter=shorter)


def _from_factory(source: str, options: ImportOptions) -> Imported:
    from collabd.catalog.authoring.pytorch.factories import from_factory

    module_name, _, attribute = source.partition(":")
    try:
        factory = attrgetter(attribute)(importlib.import_module(module_name))
    except AttributeError as error:
        raise InvalidRequest(f"{source}: {error}") from error
    mean, std = options.mean or IMAGENET_MEAN, options.std or IMAGENET_STD
    model = from_factory(factory, source=source, size=options.size, mean=mean, std=std)
    if options.channels not in (None, "rgb"):
        raise InvalidRequest("a factory's network takes RGB: let it turn the channels itself, and leave --channels out")
    # The module takes what is stated, so what a file of its family would take does not matter.
    stated = replace(options, channels="rgb")
    return _stated(model, stated, name=attribute, provenance=f"PyTorch factory {source}")


def _from_file(path: Path, options: ImportOptions) -> Imported:
    if path.suffix.lower() == ".onnx":
        return _stated(read(path), options, name=path.stem, provenance=f"ONNX file {path.name}")

    from collabd.catalog.authoring.pytorch.exported_program import read_exported

    return _stated(read_exported(path), options, name=path.stem, provenance=f"torch.export file {path.name}")


def _stated(model: onnx.ModelProto, options: ImportOptions, *, name: str, provenance: str) -> Imported:
    task, picture, taken = _taken(model, options)
    return Imported(
        model=taken.model,
        name=options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", name),
        task=task,
        picture=picture,
        licence=options.licence or _UNSTATED,
        provenance=provenance,
        notes=taken.notes,
    )


def _taken(
    model: onnx.ModelProto, options: ImportOptions
) -> tuple[Task, Picture | None, Classifier | TensorNetwork | Detector]:
    asked = options
    options = replace(options, size=options.size or image_size(model))
    model = without_sizes(standard(model), options.size)
    wanted = _wanted(options, _PLAIN)
    graph = opened(model, wanted)
    if graph.size is None:
        _require_nothing_of_pictures(asked, graph)
    if options.output is None and (found := detector_in(model, graph, decoder=options.decoder, labels=options.labels)):
        usual = found.family.preset
        overlap = _either(options.iou_threshold, usual.iou_threshold)
        wanted = _wanted(options, usual)
        detector = as_detector(model, found, wanted, labels=options.labels, iou_threshold=overlap)
        score = _either(options.score_threshold, usual.score_threshold)
        task = Detect(classes=detector.classes, score_threshold=score, iou_threshold=overlap)
        return task, _picture(graph.size, options, usual), detector
    if options.score_threshold is not None or options.iou_threshold is not None:
        raise InvalidRequest(
            "thresholds are for detectors, and collabd does not recognise one: name it (--decoder NAME)"
        )
    picture = _picture(graph.size, options, _PLAIN)
    if is_classifier(graph, wanted):
        classifier = as_classifier(graph, wanted)
        labels = options.labels or tuple(map(str, range(classifier.classes)))
        return Classify(labels=labels), picture, classifier
    return Tensors(), picture, as_tensors(graph)


def _require_nothing_of_pictures(options: ImportOptions, graph: Opened) -> None:
    stated = [f"--{name.replace('_', '-')}" for name in _OF_PICTURES if getattr(options, name) is not None]
    if options.channels not in (None, "rgb"):
        stated.append("--channels")
    if stated:
        taken = ", ".join(f"{name} {value.dtype} {[*value.shape]}" for name, value in feeds_of(graph.model).items())
        raise InvalidRequest(
            f"{', '.join(stated)}: the network takes no picture, which has 1 or 3 channels, but tensors ({taken}): "
            "leave out what is said of pictures"
        )


def _wanted(options: ImportOptions, usual: Preset) -> Wanted:
    return Wanted(
        mean=options.mean or usual.mean,
        std=options.std or usual.std,
        order=options.channels or usual.order,
        size=options.size,
        output=options.output,
        labels=None if options.labels is None else len(options.labels),
    )


def _either(stated: float | None, usual: float) -> float:
    return usual if stated is None else stated


def _picture(size: tuple[int, int] | None, options: ImportOptions, usual: Preset) -> Picture | None:
    if size is None:
        return None
    shorter = options.resize_shorter
    rule = options.rule or (usual.rule if shorter is None else "crop")
    return Picture(height=size[0], width=size[1], rule=rule, resize_shorter=shorter, pad=usual.pad)
