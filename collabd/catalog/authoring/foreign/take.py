"""Bring a graph into the form that packages are built from, and say what was decided for its user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.foreign.control import folded
from collabd.catalog.authoring.foreign.image_input import Layout, image_input, layout_of
from collabd.catalog.authoring.foreign.quantised import unsigned
from collabd.catalog.authoring.foreign.scores import as_rows, choose, shape_of
from collabd.catalog.authoring.foreign.standard import standard
from collabd.catalog.authoring.foreign.widths import has_halves, widened
from collabd.catalog.authoring.sessions import outputs_of
from collabd.catalog.graph.operator_sets import lowered, opset_of
from collabd.catalog.graph.tensors import require_writable

# How far scores may be off, as a part of their range. A graph that is only written differently is off by 1e-6.
_LARGEST_ERROR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user states of a file; None: as the file says. `labels`: how many there are."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    output: str | None = None
    labels: int | None = None


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """uint8 [batch, height, width, 3] to float32 [batch, `classes`]. `notes`: what was decided, a line each."""

    model: onnx.ModelProto
    size: tuple[int, int]
    classes: int
    notes: tuple[str, ...]


def as_classifier(model: onnx.ModelProto, wanted: Wanted) -> Classifier:
    """`model` in the form that packages are built from.

    Raises `InvalidRequest` if the user must say more, `InvalidPackage` if it is no classifier of images or has what a
    device or companion cannot run.
    """
    notes: list[str] = []
    model = unsigned(_widened(standard(model), notes))
    layout = layout_of(model.graph)
    model, size = image_input(model, size=wanted.size, mean=wanted.mean, std=wanted.std)
    if not layout.is_ours:
        notes.append(f"its input is {layout}{_normalised(layout, wanted)}")
    model, found = _for_one_image(model, _noise(model), notes)
    model, scores = _scores(model, found, wanted=wanted, notes=notes)
    model = _lowered(model, notes)
    model, control = folded(model, _noise(model)[:1])
    if control:
        notes.append(control)
    _require_same(model, scores)
    return Classifier(model=model, size=size, classes=scores.size, notes=tuple(notes))


def _normalised(layout: Layout, wanted: Wanted) -> str:
    if layout.is_bytes:
        return ""
    mean, std = (" ".join(f"{each:.3g}" for each in layout.of_channels(values)) for values in (wanted.mean, wanted.std))
    return f", normalised by mean {mean} and std {std}"


def _widened(model: onnx.ModelProto, notes: list[str]) -> onnx.ModelProto:
    if not has_halves(model):
        return model
    wide = widened(model)
    require_writable(wide)
    notes.append("its half floats become float32")
    return wide


def _noise(model: onnx.ModelProto) -> np.ndarray:
    """As many images as the graph takes at once, uint8."""
    batch, *sides = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return np.random.default_rng(0).integers(0, 256, (batch or 1, *sides), dtype=np.uint8)


def _for_one_image(
    model: onnx.ModelProto, images: np.ndarray, notes: list[str]
) -> tuple[onnx.ModelProto, dict[str, object]]:
    """`model` and its outputs for the first image. A graph that was exported for several is changed to take one."""
    found = outputs_of(model, images)
    if len(images) == 1:
        return model, found
    single = onnx.ModelProto()
    single.CopyFrom(model)
    single.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    try:
        alone = outputs_of(single, images[:1])
    except InvalidPackage:
        alone = {}
    if not alone or not all(_same_row(alone[name], value) for name, value in found.items()):
        raise InvalidPackage(f"the graph takes {len(images)} images at once; export it with a dynamic batch, or for 1")
    notes.append(
        f"it states {len(images)} images at once; for one image it gives the same scores, so the package takes one"
    )
    return single, alone


def _same_row(alone: object, together: object) -> bool:
    if not isinstance(alone, np.ndarray) or not isinstance(together, np.ndarray):
        return False
    return alone.shape[:1] == (1,) and np.allclose(alone[0], together[0], rtol=_LARGEST_ERROR, atol=_LARGEST_ERROR)


def _scores(
    model: onnx.ModelProto, found: dict[str, object], *, wanted: Wanted, notes: list[str]
) -> tuple[onnx.ModelProto, np.ndarray]:
    """`model` with its scores as the only output, and those of the image that it was run on."""
    name = choose(found, wanted.output, wanted.labels)
    value = found[name]
    rows = as_rows(model, name, value)
    assert isinstance(value, np.ndarray)  # noqa: S101 (as_rows refuses all else)
    if wanted.labels not in (None, value.size):
        raise InvalidRequest(f"the output {name} gives {value.size} scores, but there are {wanted.labels} labels")
    if len(found) > 1 and wanted.output is None:
        notes.append(f"among its {len(found)} outputs, {name} is the only one with as many scores as there are labels")
    if rows.graph.output[0].name != name:
        notes.append(f"its output {name}, {shape_of(value)}, becomes float32 [1, {value.size}]")
    return rows, value.astype(np.float32).reshape(1, -1)


def _lowered(model: onnx.ModelProto, notes: list[str]) -> onnx.ModelProto:
    lower = lowered(model)
    if opset_of(lower) != opset_of(model):
        notes.append(f"its opset {opset_of(model)} is converted to {opset_of(lower)}")
    return lower


def _require_same(model: onnx.ModelProto, scores: np.ndarray) -> None:
    found = next(iter(outputs_of(model, _noise(model)).values()))
    assert isinstance(found, np.ndarray)  # noqa: S101 (the output is one row of scores)
    if not np.allclose(found, scores, rtol=_LARGEST_ERROR, atol=_LARGEST_ERROR * np.ptp(scores), equal_nan=True):
        raise InvalidPackage(
            "written in the operators that all devices have, the graph no longer gives the same scores: export it with "
            "opset 21 or older, and without functions and control flow"
        )
