"""A graph of other people with a picture or tensors as its inputs, and what it makes of one item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.foreign.image_input import ChannelOrder, Layout, image_input, layout_of
from collabd.catalog.authoring.foreign.rewriting import LARGEST_ERROR, feeds_of, standardised
from collabd.catalog.authoring.optimise import fix_batch
from collabd.catalog.authoring.sessions import outputs_of


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user states of a file; None: as the file says. `labels`: how many there are.

    `order`: of its three channels. `mean` and `std` are those of R, G and B, whatever the order.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: ChannelOrder = "rgb"
    size: tuple[int, int] | None = None
    output: str | None = None
    labels: int | None = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """`size`: the (height, width) of its picture; None: it takes tensors. `found`: its outputs for one item, by name.

    `notes`: what was decided, a line each.
    """

    model: onnx.ModelProto
    size: tuple[int, int] | None
    found: Mapping[str, object]
    notes: tuple[str, ...]


def opened(model: onnx.ModelProto, wanted: Wanted) -> Opened:
    """`model` written in one way; its only input, if that is an image, becomes the picture.

    Raises `InvalidRequest` if the user must say more, `InvalidPackage` if it has what a device cannot run.
    """
    notes: list[str] = []
    model = standardised(model, notes)
    if _takes_an_image(model.graph):
        layout = layout_of(model.graph)
        model, size = image_input(model, size=wanted.size, mean=wanted.mean, std=wanted.std, order=wanted.order)
        notes += _said_of_input(layout, wanted)
        model, found = _for_one_image(model, notes)
        return Opened(model=model, size=size, found=found, notes=tuple(notes))
    _require_fixed_sizes(model.graph)
    model = _with_one_batch(model)
    return Opened(model=model, size=None, found=outputs_of(model, feeds_of(model)), notes=tuple(notes))


def _takes_an_image(graph: onnx.GraphProto) -> bool:
    try:
        layout_of(graph)
    except InvalidPackage:
        return False
    return True


def _said_of_input(layout: Layout, wanted: Wanted) -> list[str]:
    """What is said of an image input that was changed; nothing if it was not."""
    if layout.is_ours and wanted.order == "rgb":
        return []
    return [f"its input is {layout.said(wanted.order)}{_normalised(layout, wanted)}"]


def _normalised(layout: Layout, wanted: Wanted) -> str:
    if layout.is_bytes:
        return ""
    mean, std = (" ".join(f"{each:.3g}" for each in layout.of_channels(values)) for values in (wanted.mean, wanted.std))
    return f", normalised by mean {mean} and std {std}{' (of R, G, B)' if wanted.order == 'bgr' else ''}"


def _for_one_image(model: onnx.ModelProto, notes: list[str]) -> tuple[onnx.ModelProto, dict[str, object]]:
    """`model` and its outputs for the first image. A graph that was exported for several is changed to take one."""
    ((name, images),) = feeds_of(model).items()
    found = outputs_of(model, {name: images})
    if len(images) == 1:
        return model, found
    single = onnx.ModelProto()
    single.CopyFrom(model)
    single.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    try:
        alone = outputs_of(single, {name: images[:1]})
    except InvalidPackage:
        alone = {}
    if not alone or not all(_same_row(alone[name], value) for name, value in found.items()):
        raise InvalidPackage(f"the graph takes {len(images)} images at once; export it with a dynamic batch, or for 1")
    notes.append(f"it states {len(images)} images at once; for one image it answers the same, so the package takes one")
    return single, alone


def _same_row(alone: object, together: object) -> bool:
    if not isinstance(alone, np.ndarray) or not isinstance(together, np.ndarray):
        return False
    return alone.shape[:1] == (1,) and np.allclose(alone[0], together[0], rtol=LARGEST_ERROR, atol=LARGEST_ERROR)


def _require_fixed_sizes(graph: onnx.GraphProto) -> None:
    for value in graph.input:
        if not value.type.HasField("tensor_type"):
            raise InvalidPackage(f"the input {value.name} is not a tensor, so it cannot be sent")
        if not all(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]):
            raise InvalidRequest(
                f"the graph leaves a size of its input {value.name} open: export it with all sizes fixed but the "
                "first, which is that of the batch"
            )


def _with_one_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, for one item at a time unless the first axis of every input is open, and so is that of the batch."""
    first = [next(iter(value.type.tensor_type.shape.dim), None) for value in model.graph.input]
    is_open = [size is not None and not size.dim_value for size in first]
    return fix_batch(model) if any(is_open) and not all(is_open) else model
