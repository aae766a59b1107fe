"""Control flow is folded where it follows from constants; else it is kept, with the shapes behind it stated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from collab_sdk.errors import InvalidPackage
from collabd.catalog.authoring.foreign.standard import bodies_of
from collabd.catalog.authoring.optimise import fix_batch, optimise
from collabd.catalog.authoring.sessions import outputs_of


def folded(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> tuple[onnx.ModelProto, str | None]:
    """`model` with as little control flow as possible, and a line about what is left of it.

    Control flow that follows from constants goes, and so does what follows from a batch of one image. `feeds`: what the
    graph takes of one image.
    """
    if not operators(model):
        return model, None
    constant = optimise(model)
    if not operators(constant):
        return constant, None
    single = fix_batch(model)
    if not (left := operators(single)):
        return (
            single,
            "its control flow depends on how many images come at once, so the package takes one image at a time",
        )
    return (constant if _is_shaped(constant) else _shaped(single, feeds)), (
        f"its control flow ({', '.join(left)}) depends on the image, so it stays"
    )


def operators(model: onnx.ModelProto) -> list[str]:
    """The operators of `model` with graphs inside."""
    return sorted({node.op_type for node in model.graph.node if any(bodies_of(node))})


def _unshaped(model: onnx.ModelProto) -> list[str]:
    """The outputs of control flow whose shapes cannot be inferred. Those of a loop never can."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {
        value.name for value in (*inferred.value_info, *inferred.output) if value.type.tensor_type.HasField("shape")
    }
    return [name for node in model.graph.node if any(bodies_of(node)) for name in node.output if name not in known]


def _is_shaped(model: onnx.ModelProto) -> bool:
    return not _unshaped(model)


def _shaped(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """`model`, which takes one image, with the shapes behind its control flow stated as they are for `feeds`."""
    names = _unshaped(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found = outputs_of(watched, feeds)
    stated = onnx.ModelProto()
    stated.CopyFrom(model)
    stated.graph.value_info.extend(_statement(name, found[name]) for name in names)
    return stated


def _statement(name: str, value: object) -> onnx.ValueInfoProto:
    if not isinstance(value, np.ndarray):
        raise InvalidPackage(
            f"control flow makes {name}, which is not a tensor and cannot be sent: unroll the control flow"
        )
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
