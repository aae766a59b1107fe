"""Operator sets: the newest that every device can read, and graphs converted down to it."""

from __future__ import annotations

import logging

import onnx
from onnx import defs, inliner, version_converter

from collab_sdk.errors import InvalidPackage

# The newest that ONNX Runtime 1.20 reads. A device may have that version, or a newer one.
_NEWEST_IR = 10
_NEWEST_OPSET = 21
# ONNX Runtime takes no older one, and onnx's converter converts no older one.
_OLDEST_OPSET = 7
_log = logging.getLogger(__name__)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that `model` is written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def check_versions(model: onnx.ModelProto) -> None:
    """Raise `InvalidPackage` if the oldest ONNX Runtime that a device may have cannot read `model`."""
    opset = opset_of(model)
    if model.ir_version > _NEWEST_IR or opset > _NEWEST_OPSET:
        raise InvalidPackage(
            f"the graph has IR version {model.ir_version} and opset {opset}: export it with at most "
            f"IR version {_NEWEST_IR} and opset {_NEWEST_OPSET}, the newest that ONNX Runtime 1.20 reads"
        )


def require_known(model: onnx.ModelProto) -> None:
    """Raise `InvalidPackage` if `model` is written in operators that are too old for any ONNX Runtime."""
    if opset_of(model) < _OLDEST_OPSET:
        raise InvalidPackage(
            f"the graph has opset {opset_of(model)}, but ONNX Runtime reads only {_OLDEST_OPSET} and newer: "
            "export the network again with a newer opset"
        )


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in versions that every device reads; itself where it has them.

    Operators that are newer are taken apart into older ones where ONNX defines them so. Raises `InvalidPackage`
    naming those that have no older form.
    """
    if opset_of(model) <= _NEWEST_OPSET:
        lower = onnx.ModelProto()
        lower.CopyFrom(model)
    else:
        lower = _converted(_without_newer_operators(model), _NEWEST_OPSET)
    lower.ir_version = min(lower.ir_version, _NEWEST_IR)
    return lower


def raised(model: onnx.ModelProto, least: int) -> onnx.ModelProto:
    """A copy of `model`, in opset `least` if its own is older. Raises `InvalidPackage` if it cannot be converted."""
    if opset_of(model) < least:
        return _converted(model, least)
    same = onnx.ModelProto()
    same.CopyFrom(model)
    return same


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, opset)
    except RuntimeError as error:
        raise InvalidPackage(
            f"collabd cannot convert the graph from opset {opset_of(model)} to {opset}: {error}"
        ) from error
    return converted


def _without_newer_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    if not (newer := _newer_operators(model)):
        return model
    typed = onnx.shape_inference.infer_shapes(model)
    for weight in typed.graph.initializer:  # the inliner looks for their types there
        typed.graph.value_info.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    names = [("", name) for name in newer]
    apart: onnx.ModelProto = model
    try:
        apart = inliner.inline_selected_functions(typed, names, inline_schema_functions=True)
    except RuntimeError as error:
        _log.info("cannot rewrite %s in older operators: %s", newer, error)
    if left := _newer_operators(apart):
        raise InvalidPackage(
            f"{' and '.join(left)} came with an opset newer than {_NEWEST_OPSET}, the newest that ONNX Runtime 1.20 "
            f"reads, and collabd cannot rewrite it in older operators: export the network with opset {_NEWEST_OPSET}"
        )
    del apart.graph.value_info[:]
    return apart


def _newer_operators(model: onnx.ModelProto) -> list[str]:
    return sorted({node.op_type for node in model.graph.node if _is_newer(node.op_type)})


def _is_newer(operator: str) -> bool:
    try:
        defs.get_schema(operator, _NEWEST_OPSET, "")
    except defs.SchemaError:
        return True
    return False
