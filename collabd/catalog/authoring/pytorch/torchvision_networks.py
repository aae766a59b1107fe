"""The networks of torchvision, of whatever task, as graphs. Imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
import torch
import torchvision
from torch import nn
from torchvision.models import detection, optical_flow, quantization, segmentation, video, vision_transformer
from torchvision.models.detection import faster_rcnn, keypoint_rcnn, mask_rcnn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.pytorch.detectors import AnchorDetector
from collabd.catalog.authoring.pytorch.export import export, export_tensors
from collabd.catalog.authoring.pytorch.segmenters import ClassMap
from collabd.catalog.package.manifest import Classify, Detect, Picture, Rule, Segment, Task, Tensors

__all__ = ["TorchvisionNetwork", "torchvision_network"]

# Height and width: a picture of 4:3, of which torchvision makes 800 x 1066 for a detector and 520 x 693 for a
# segmenter, and then what the strides of the network divide.
_DETECTED = (800, 1088)
_SEGMENTED = (520, 696)
_COMPARED = (360, 640)
# Where a network keeps the shape of the picture, the rest is filled with about the mean of ImageNet's pixels:
# torchvision fills it with zeros behind the normalisation.
_MEAN_GREY = 116
_FRAMES = 16
# What they give for each proposal.
_TWO_STAGES = {
    faster_rcnn.__name__: "boxes",
    mask_rcnn.__name__: "boxes and masks",
    keypoint_rcnn.__name__: "boxes and key points",
}


@dataclass(frozen=True, kw_only=True)
class TorchvisionNetwork:
    """What torchvision says of a network.

    `export` makes its graph, which takes a minute. `picture`: None if it takes tensors.
    """

    export: Callable[[], onnx.ModelProto]
    task: Task
    picture: Picture | None
    provenance: str
    licence: str = "BSD-3-Clause"


def torchvision_network(name: str, *, size: tuple[int, int] | None, trained: bool) -> TorchvisionNetwork:
    """The network `name`, with torchvision's newest weights or with random ones, for pictures of `size`, or of its own.

    Raises `InvalidRequest` if there is no such network or its weights cannot be downloaded, `InvalidPackage`, now or
    when it is exported, if it cannot become a graph of fixed sizes.
    """
    known = torchvision.models.list_models()
    if name not in known:
        raise InvalidRequest(f"torchvision has no network {name!r}; it has {', '.join(known)}")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    wish = _Wish(name=name, weights=weights, size=size, trained=trained)
    make = next(make for package, make in _MAKERS.items() if wish.builder.startswith(package))
    return make(wish)


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What is to be made. `weights`: torchvision's newest, which also say what the network is for."""

    name: str
    weights: Any
    size: tuple[int, int] | None
    trained: bool

    @property
    def builder(self) -> str:
        """The module of torchvision that makes networks of this kind."""
        module: str = torchvision.models.get_model_builder(self.name).__module__
        return module

    @property
    def provenance(self) -> str:
        weights = f"weights {self.weights} ({self.weights.meta['recipe']})" if self.trained else "random weights"
        return f"torchvision {torchvision.__version__} {self.name}, {weights}"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.weights.meta["categories"])

    def module(self, **stated: Any) -> nn.Module:
        """The network. Random weights are the same every time, so that equal commands build equal packages."""
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # some announce that their initialisation will change
                torch.manual_seed(0)
                weights = self.weights if self.trained else None
                module: nn.Module = torchvision.models.get_model(self.name, weights=weights, **stated)
        except OSError as error:
            raise InvalidRequest(
                f"torchvision cannot download the weights of {self.name} ({error}): connect to the internet, or build "
                "the network with random weights (--random-weights) to try how it splits"
            ) from error
        return module


def _classifier(wish: _Wish) -> TorchvisionNetwork:
    preset = wish.weights.transforms()
    height, width = wish.size or preset.crop_size * 2
    # With trained weights a vision transformer is made for their size; with random ones it is made for any.
    stated = {"image_size": height} if not wish.trained and wish.builder == vision_transformer.__name__ else {}
    return TorchvisionNetwork(
        export=partial(export, wish.module(**stated), height=height, width=width, mean=preset.mean, std=preset.std),
        task=Classify(labels=wish.classes),
        picture=Picture(
            height=height,
            width=width,
            rule="crop",
            resize_shorter=preset.resize_size[0],
            interpolation=preset.interpolation.value,
        ),
        provenance=wish.provenance,
    )


def _segmenter(wish: _Wish) -> TorchvisionNetwork:
    preset = wish.weights.transforms()
    height, width = wish.size or _SEGMENTED
    module = ClassMap(wish.module(weights_backbone=None))
    return TorchvisionNetwork(
        export=partial(export, module, height=height, width=width, mean=preset.mean, std=preset.std, outputs=["mask"]),
        task=Segment(classes=wish.classes),
        picture=Picture(
            height=height,
            width=width,
            rule="letterbox_top_left",
            pad=_MEAN_GREY,
            interpolation=preset.interpolation.value,
        ),
        provenance=wish.provenance,
    )


def _detector(wish: _Wish) -> TorchvisionNetwork:
    _require_one_stage(wish)
    network: Any = wish.module(weights_backbone=None).eval()
    transform = network.transform
    height, width = _size_of_detector(wish, transform)
    rule: Rule = "stretch" if transform.fixed_size else "letterbox_top_left"
    return TorchvisionNetwork(
        export=partial(
            export,
            AnchorDetector(network, height=height, width=width),
            height=height,
            width=width,
            mean=transform.image_mean,
            std=transform.image_std,
            outputs=["boxes", "scores", "classes"],
        ),
        task=Detect(classes=wish.classes, iou_threshold=network.nms_thresh),
        picture=Picture(height=height, width=width, rule=rule, pad=_MEAN_GREY),
        provenance=wish.provenance,
    )


def _require_one_stage(wish: _Wish) -> None:
    if (many := _TWO_STAGES.get(wish.builder)) is not None:
        raise InvalidPackage(
            f"{wish.name} works in two stages: NonMaxSuppression and RoiAlign in the middle of it give as many {many} "
            "as the picture has proposals, so sizes behind them are open, and a companion refuses such a graph. Take a "
            "one-stage detector, for example ssdlite320_mobilenet_v3_large or retinanet_resnet50_fpn_v2"
        )


def _size_of_detector(wish: _Wish, transform: GeneralizedRCNNTransform) -> tuple[int, int]:
    if transform.fixed_size is not None:
        width, height = transform.fixed_size
        if wish.size not in {None, (height, width)}:
            raise InvalidRequest(f"{wish.name} is made for pictures of {height}x{width}: leave --size out")
        return height, width
    height, width = wish.size or _DETECTED
    unit = transform.size_divisible
    if height % unit or width % unit:
        raise InvalidRequest(f"{wish.name} takes sides that are multiples of {unit}, not {height}x{width}")
    return height, width


def _video(wish: _Wish) -> TorchvisionNetwork:
    height, width = wish.size or wish.weights.transforms().crop_size
    samples = {"clip": torch.zeros(1, 3, _FRAMES, height, width)}
    graph = partial(export_tensors, wish.module(), samples, outputs=["logits"])
    return TorchvisionNetwork(export=graph, task=Tensors(), picture=None, provenance=wish.provenance)


def _flow(wish: _Wish) -> TorchvisionNetwork:
    height, width = wish.size or _COMPARED
    first, second = torch.zeros(2, 1, 3, height, width)
    graph = partial(export_tensors, _LastFlow(wish.module()), {"first": first, "second": second}, outputs=["flow"])
    return TorchvisionNetwork(export=graph, task=Tensors(), picture=None, provenance=wish.provenance)


class _LastFlow(nn.Module):
    """Without the flows of the steps in between, which only training needs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        flow: torch.Tensor = self.network(first, second)[-1]
        return flow


def _quantised(wish: _Wish) -> TorchvisionNetwork:
    raise InvalidPackage(
        f"{wish.name} computes with quantised operators of PyTorch's own, which do not export to ONNX: take "
        f"{wish.name.removeprefix('quantized_')}, and quantise its ONNX file in the QDQ form"
    )


# By where torchvision keeps the function that makes the network.
_MAKERS: dict[str, Callable[[_Wish], TorchvisionNetwork]] = {
    detection.__name__: _detector,
    segmentation.__name__: _segmenter,
    video.__name__: _video,
    optical_flow.__name__: _flow,
    quantization.__name__: _quantised,
    torchvision.models.__name__: _classifier,
}
