"""A file of `torch.export.save` (.pt2) as an ONNX graph. Imports torch."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import torch
from torch.utils import _pytree as pytree

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.pytorch.export import finished
from collabd.catalog.authoring.pytorch.output_names import output_names
from collabd.catalog.authoring.pytorch.plain_archive import plain_archive
from collabd.catalog.authoring.pytorch.tracing import convert

__all__ = ["read_exported"]


def read_exported(path: Path) -> onnx.ModelProto:
    """The graph of the network in `path`, with the names that its inputs have there.

    Raises `InvalidRequest` if it is no such file, `InvalidPackage` if it could run code when it is loaded or does not
    become a graph.
    """
    archive = plain_archive(path)
    try:
        program = torch.export.load(io.BytesIO(archive))
    except Exception as error:  # torch raises whatever a contradiction in the file makes it run into
        raise InvalidRequest(f"{path} contradicts itself: {type(error).__name__}: {error}") from error
    spec = program.call_spec.out_spec
    returned = pytree.tree_unflatten([torch.empty(0)] * spec.num_leaves, spec)
    return finished(convert(program, outputs=output_names(returned), name=path.name).model)
