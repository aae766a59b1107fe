"""Take a detector of other people: its family, the picture that it wants, and its graph with the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx

from collab_sdk.errors import InvalidRequest
from collabd.catalog.authoring.detect.decoding import Recognised, decode, fitted, recognise
from collabd.catalog.authoring.detect.families import family
from collabd.catalog.authoring.detect.heads import heads_of
from collabd.catalog.authoring.detect.metadata import class_names as stated_names
from collabd.catalog.authoring.foreign.opened import Opened, Wanted, opened
from collabd.catalog.authoring.foreign.rewriting import brought_down, feeds_of
from collabd.catalog.package.coco import class_names


@dataclass(frozen=True, kw_only=True)
class Detector:
    """uint8 [batch, height, width, 3] to boxes, scores and classes. `notes`: what was decided, a line each.

    `classes`: their names.
    """

    model: onnx.ModelProto
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def detector_in(
    model: onnx.ModelProto, graph: Opened, *, decoder: str | None, labels: Sequence[str] | None
) -> Recognised | None:
    """The family of `model`, opened as `graph`: that of the `decoder` which the user names, or the one recognised.

    None if it is no detector that is known. Raises `InvalidRequest` or `InvalidPackage` if the user must say more, or
    says what does not fit.
    """
    if graph.size is None:
        if decoder is not None:
            raise InvalidRequest(f"the decoder {decoder} is for networks with a picture as their only input")
        return None
    heads = heads_of(model, graph.found, size=graph.size, classes=None if labels is None else len(labels))
    if decoder is not None:
        return fitted(family(decoder), heads)
    found = recognise(heads)
    if found is None and labels is not None and (other := recognise(replace(heads, classes=None))):
        return fitted(other.family, heads)  # which says how many labels there should be
    return found


def as_detector(
    model: onnx.ModelProto, found: Recognised, wanted: Wanted, *, labels: Sequence[str] | None, iou_threshold: float
) -> Detector:
    """`model`, of the family that was `found`, with its decoder, in the form that packages are built from.

    `iou_threshold`: of the suppression behind its answers. Raises `InvalidPackage` if the graph has what a device or
    companion cannot run.
    """
    graph = opened(model, wanted)
    notes = [f"it is {found}", *graph.notes]
    plain = brought_down(graph.model, feeds=feeds_of(graph.model), expected=graph.found, notes=notes)
    return Detector(
        model=decode(plain, found, iou_threshold=iou_threshold),
        classes=tuple(labels or stated_names(model) or class_names(found.decoder.classes)),
        notes=tuple(notes),
    )
