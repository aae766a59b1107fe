"""Find out of which family a detector is, and append its decoder."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from collab_sdk.errors import InvalidPackage, InvalidRequest
from collabd.catalog.authoring.detect.families import FAMILIES
from collabd.catalog.authoring.detect.family import NO_SUPPRESSION, Boxes, Decoder, Family
from collabd.catalog.authoring.detect.graph_writer import GraphWriter
from collabd.catalog.authoring.detect.heads import Heads
from collabd.catalog.authoring.detect.thinning import thinned
from collabd.catalog.authoring.foreign.standard import leave_the_name
from collabd.catalog.graph.operator_sets import opset_of, raised
from collabd.catalog.package.coco import COCO_80

# The outputs of every decoded graph, in their order.
OUTPUTS = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "classes": TensorProto.INT32}
_MOST = 100
# So many times as many boxes are looked at as are given.
_CANDIDATES = 3
_TASK = "detect"
# The oldest operator set in which all that decoders are written in has its present form.
_OPSET = 13


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A family, and the decoder for the outputs of one graph of it."""

    family: Family
    decoder: Decoder
    heads: Heads

    def __str__(self) -> str:
        return (
            f"a detector of the kind {self.family.title}: {self.heads} for {self.heads.width}x{self.heads.height} "
            f"pixels; {self.decoder.classes} classes, {self.decoder.said}"
        )


def recognise(heads: Heads) -> Recognised | None:
    """The family of which a graph with these outputs is; None if it is of none.

    Where the shapes fit several, it is the only one of them with 80 classes, as most published networks have. Raises
    `InvalidRequest` naming them if there is no such one.
    """
    if heads.task not in (None, _TASK):
        return None
    found = [
        Recognised(family=family, decoder=decoder, heads=heads)
        for family in FAMILIES.values()
        if (decoder := family.fit(heads)) and family.telling(heads) and heads.classes in (None, decoder.classes)
    ]
    likely = [each for each in found if each.decoder.classes == len(COCO_80)] if len(found) > 1 else found
    if len(likely) == 1:
        return likely[0]
    if found:
        ways = " or ".join(f"{each.family.name} with {each.decoder.classes} classes" for each in found)
        raise InvalidRequest(
            f"the outputs ({heads}) may be those of {ways}: say which (--decoder NAME, and --labels FILE)"
        )
    return None


def fitted(family: Family, heads: Heads) -> Recognised:
    """The decoder of a family that the user names. Raises `InvalidPackage` if the outputs of the graph do not fit."""
    if heads.task not in (None, _TASK):
        raise InvalidPackage(f"the file says that the network is for the task {heads.task!r}, not {_TASK!r}")
    decoder = family.fit(heads)
    if decoder is None:
        raise InvalidPackage(
            f"for pictures of {heads.width}x{heads.height} {family.title} gives {family.expects(heads)}, but this "
            f"graph gives {heads}"
        )
    if heads.classes not in (None, decoder.classes):
        raise InvalidPackage(f"the graph tells {decoder.classes} classes apart, but there are {heads.classes} labels")
    return Recognised(family=family, decoder=decoder, heads=heads)


def decode(
    model: onnx.ModelProto, found: Recognised, *, most: int = _MOST, iou_threshold: float | None = None
) -> onnx.ModelProto:
    """`model` with boxes, scores and classes, at most `most` of each, in place of its raw outputs.

    `iou_threshold`: that of the suppression to come; None: that of the family. The input of `model` may have changed
    since it was examined, for example to uint8, but not its size, nor its outputs. Raises `InvalidPackage` if its
    operators are too old to be converted.
    """
    whole = raised(model, _OPSET)
    graph = whole.graph
    del graph.output[:]
    writer = GraphWriter(graph, opset_of(whole))
    overlap = found.family.preset.iou_threshold if iou_threshold is None else iou_threshold
    made = _best_boxes(writer, found.decoder, most=most, iou_threshold=overlap)
    for (name, kind), tensor in zip(OUTPUTS.items(), made[:3], strict=True):
        leave_the_name(graph, name)
        writer.add("Cast", tensor, name=name, to=kind)
        graph.output.append(helper.make_tensor_value_info(name, kind, None))
    return whole


def _best_boxes(writer: GraphWriter, decoder: Decoder, *, most: int, iou_threshold: float) -> Boxes:
    if iou_threshold >= NO_SUPPRESSION:
        return decoder.append(writer, most)
    near = decoder.append(writer, _CANDIDATES * most)
    return thinned(writer, near, most=most, iou_threshold=iou_threshold) if near.number > most else near
