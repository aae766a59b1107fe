"""Read an ONNX file with all its weights, from wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.graph.tensors import require_writable, tensors


def read(path: Path) -> onnx.ModelProto:
    """The graph in `path`, with the weights that it keeps in other files of the same directory.

    Raises `InvalidRequest` if a file is missing or none of ONNX, `InvalidPackage` if it is larger than a graph may be;
    that is found out before the weights are read.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        locations = _locations(model)
        for location in sorted(locations):
            _check_beside(path, location)
        require_writable(model)
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InvalidRequest(f"{path} is not a readable ONNX file: {error}") from error
    except InvalidPackage as error:
        raise InvalidPackage(f"{path}: {error}") from error
    return model


def _locations(model: onnx.ModelProto) -> set[str]:
    return set(_external(model))


def _external(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _check_beside(path: Path, location: str) -> None:
    beside = path.parent / location
    if not beside.resolve().is_relative_to(path.parent.resolve()):
        raise InvalidRequest(f"{path} names {location} for its weights, but that file is outside its directory")
    if not beside.is_file():
        raise InvalidRequest(f"{path} keeps its weights in {location}, but that file is missing: put it beside {path}")
