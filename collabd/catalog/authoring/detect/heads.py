"""What a graph gives for one picture, which tells the family that it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from collabd.catalog.authoring.detect.metadata import class_names, task_of
from collabd.catalog.authoring.foreign.image_input import of_fixed_size
from collabd.catalog.authoring.foreign.rewriting import feeds_of
from collabd.catalog.authoring.sessions import outputs_of


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The outputs of a graph, each with the values that it has for one picture of noise.

    `height`, `width`: of the network's input. `classes`: how many there are, if the user or the file says so; None: as
    many as the shapes say. `exps`: whether the graph has an operator Exp. `task`: what the file says it is for.
    """

    height: int
    width: int
    outputs: Mapping[str, np.ndarray]
    classes: int | None = None
    exps: bool = False
    task: str | None = None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an output for one picture."""
        return self.outputs[name].shape

    def __str__(self) -> str:
        listed = (f"{name} {value.dtype} [{', '.join(map(str, value.shape))}]" for name, value in self.outputs.items())
        return ", ".join(listed)


def examine(model: onnx.ModelProto, *, size: tuple[int, int] | None = None, classes: int | None = None) -> Heads:
    """The outputs of `model`, which is run once for that.

    Its one input is a picture; `size` is (height, width) where the graph leaves it open. `classes`: how many there are.
    Raises `InvalidPackage` if it does not run.
    """
    fixed, sides = of_fixed_size(model, size)
    return heads_of(model, outputs_of(fixed, feeds_of(fixed)), size=sides, classes=classes)


def heads_of(
    model: onnx.ModelProto, found: Mapping[str, object], *, size: tuple[int, int], classes: int | None
) -> Heads:
    """The same where it is known what `model` makes of a picture of this (height, width)."""
    named = class_names(model)
    return Heads(
        height=size[0],
        width=size[1],
        outputs={name: value[:1] for name, value in found.items() if isinstance(value, np.ndarray) and value.ndim},
        classes=len(named) if classes is None and named else classes,
        exps=any(node.op_type == "Exp" for node in model.graph.node),
        task=task_of(model),
    )


def without_sizes(model: onnx.ModelProto, size: tuple[int, int] | None = None) -> onnx.ModelProto:
    """`model` with its picture as its only input, where its other one is the size to which it is to scale its boxes.

    That size becomes a constant, (width, height) of the network's input, so its boxes are in pixels of the input. Other
    graphs stay as they are. `size` is (height, width) where the graph leaves it open.
    """
    pictures = [value for value in model.graph.input if len(value.type.tensor_type.shape.dim) == 4]
    others = [value for value in model.graph.input if value not in pictures]
    if len(pictures) != 1 or len(others) != 1 or not _is_a_size(others[0]):
        return model
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    del alone.graph.input[:]
    alone.graph.input.extend(pictures)
    alone, (height, width) = of_fixed_size(alone, size)
    dtype = helper.tensor_dtype_to_np_dtype(others[0].type.tensor_type.elem_type)
    constant = numpy_helper.from_array(np.array([[width, height]], dtype), others[0].name)
    alone.graph.initializer.append(constant)
    return alone


def _is_a_size(value: onnx.ValueInfoProto) -> bool:
    """Whether it is two numbers for each picture."""
    dims = value.type.tensor_type.shape.dim
    return len(dims) == 2 and dims[1].dim_value == 2
