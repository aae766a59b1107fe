"""Bring a graph into the form that packages are built from, and say what was decided for its user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.foreign.opened import Opened, Wanted
from collabd.catalog.authoring.foreign.rewriting import brought_down, feeds_of
from collabd.catalog.authoring.foreign.scores import as_rows, choose, classes_in, shape_of
from collabd.catalog.authoring.optimise import fix_batch
from collabd.catalog.graph.effort import is_followed
from collabd.partition import PartitionError, annotate


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """uint8 [batch, height, width, 3] to float32 [batch, `classes`]. `notes`: what was decided, a line each."""

    model: onnx.ModelProto
    size: tuple[int, int]
    classes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TensorNetwork:
    """Its outputs as they are. `size`: the (height, width) of its picture; None: it takes tensors.

    `notes`: what was decided, a line each.
    """

    model: onnx.ModelProto
    size: tuple[int, int] | None
    notes: tuple[str, ...]


def is_classifier(graph: Opened, wanted: Wanted) -> bool:
    """Whether the user speaks of a classifier, or the graph makes one row of scores of a picture and nothing else."""
    if wanted.output is not None or wanted.labels is not None:
        return True
    return graph.size is not None and len(graph.found) == 1 and classes_in(*graph.found.values()) is not None


def as_classifier(graph: Opened, wanted: Wanted) -> Classifier:
    """The graph with its scores as the only output.

    Raises `InvalidRequest` if the user must say more, `InvalidPackage` if it is no classifier of images or has what a
    device or companion cannot run.
    """
    if graph.size is None:
        inputs = ", ".join(value.name for value in graph.model.graph.input)
        raise InvalidPackage(f"only a network that takes one image has labels, but this one takes {inputs}")
    notes = [*graph.notes]
    model, scores = _scores(graph, wanted, notes)
    model = brought_down(model, feeds=feeds_of(model), expected={model.graph.output[0].name: scores}, notes=notes)
    return Classifier(model=model, size=graph.size, classes=scores.size, notes=tuple(notes))


def as_tensors(graph: Opened) -> TensorNetwork:
    """The graph with its outputs as they are.

    Raises `InvalidPackage` if an output is no tensor, if one has no fixed size (but for the batch), or if the graph has
    what a device or companion cannot run.
    """
    notes = [*graph.notes]
    for name, value in graph.found.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise InvalidPackage(f"its output {name} is {shape_of(value)}, and only tensors of numbers can be sent")
    model = brought_down(graph.model, feeds=feeds_of(graph.model), expected=graph.found, notes=notes)
    model = _with_fixed_outputs(model, graph.found, notes)
    listed = ", ".join(f"{name} {shape_of(value)}" for name, value in graph.found.items())
    notes.append(f"it answers with its outputs as they are: {listed}")
    return TensorNetwork(model=model, size=graph.size, notes=tuple(notes))


def _scores(graph: Opened, wanted: Wanted, notes: list[str]) -> tuple[onnx.ModelProto, np.ndarray]:
    """The model with its scores as the only output, and those of the image that it was run on."""
    found = graph.found
    name = choose(found, wanted.output, wanted.labels)
    value = found[name]
    rows = as_rows(graph.model, name, value)
    assert isinstance(value, np.ndarray)  # noqa: S101 (as_rows refuses all else)
    if wanted.labels not in (None, value.size):
        raise InvalidRequest(f"the output {name} gives {value.size} scores, but there are {wanted.labels} labels")
    if len(found) > 1 and wanted.output is None:
        notes.append(f"among its {len(found)} outputs, {name} is the only one with as many scores as there are labels")
    if rows.graph.output[0].name != name:
        notes.append(f"its output {name}, {shape_of(value)}, becomes float32 [1, {value.size}]")
    return rows, value.astype(np.float32).reshape(1, -1)


def _with_fixed_outputs(model: onnx.ModelProto, found: Mapping[str, object], notes: list[str]) -> onnx.ModelProto:
    """`model`, for one item at a time if the sizes of its outputs follow only then.

    Refused are sizes that depend on what the network computes: nobody could say how large an answer is.
    """
    if _open_output(model) is None:
        return model
    single = fix_batch(model)
    if (name := _open_output(single)) is None:
        notes.append("the sizes of its outputs follow only for one item at a time, so the package takes one")
        return single
    raise InvalidPackage(
        f"the size of its output {name} depends on what the network computes, as behind NonMaxSuppression or NonZero "
        f"(here it was {shape_of(found[name])}): end the graph before that"
    )


def _open_output(model: onnx.ModelProto) -> str | None:
    """An output whose size does not follow from the graph and the size of the batch alone."""
    try:
        outputs = annotate(model).graph.output
    except PartitionError:  # not even its rank follows
        outputs = model.graph.output
    return next((value.name for value in outputs if not is_followed(value)), None)
