"""A package with an int8 graph beside its own, quantised by ONNX Runtime's tool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Agreement, CodecFigures, Cut
from collabd.catalog.package.package import GRAPHS, LICENCE, MODEL, Package, write
from collabd.partition import annotate
from collabd.profiling.profile import Profile, VariantTimes

# Enough for any cap of the tests, and not for all: 99.74 %.
AGREEMENT = Agreement(agreed=999, images=1000, sure_agreed=999, sure_images=1000)


def in_int8(profile: Profile, package: Package, factor: float) -> Profile:
    """The profile of a machine on which int8 takes `factor` times as long as fp32."""
    cuts = tuple(
        msgspec.structs.replace(times, int8=VariantTimes(times.head_ms * factor, times.tail_ms * factor))
        for times in profile.cuts
    )
    whole_ms = profile.whole_ms * factor
    return msgspec.structs.replace(profile, digest=package.digest, cuts=cuts, whole_int8_ms=whole_ms)


def with_int8(package: Package, images: Sequence[np.ndarray], out: Path) -> Package:
    """Write the package with an int8 graph as `out`. Each codec is kept with head and tail in either precision."""
    int8 = quantised((package.path / MODEL).read_bytes(), images, out.with_suffix(".onnx"))
    manifest = msgspec.structs.replace(
        package.manifest,
        precisions=(Precision.FP32, Precision.INT8),
        cuts=tuple(msgspec.structs.replace(cut, codecs=tuple(_figures(cut))) for cut in package.manifest.cuts),
    )
    model, licence = (package.path / MODEL).read_bytes(), (package.path / LICENCE).read_text()
    return write(out, manifest, model=model, licence=licence, int8=int8)


def _figures(cut: Cut) -> Iterator[CodecFigures]:
    """As they are in fp32, and for the other combinations beside them."""
    heads = (Precision.FP32, Precision.INT8) if cut.head_layers else (Precision.FP32,)
    for head, tail in product(heads, (Precision.FP32, Precision.INT8)):
        for figures in cut.codecs:
            if head == tail == Precision.FP32:
                yield figures
            else:
                yield msgspec.structs.replace(figures, head=head, tail=tail, agreement=AGREEMENT)


def quantised(model: bytes, images: Sequence[np.ndarray], scratch: Path) -> bytes:
    """The graph with its convolutions, pools and matrix products in int8, as QDQ. `scratch`: a file to use."""
    plain = _in_full_width(onnx.load_model_from_string(model))
    (given,) = plain.graph.input
    quantize_static(
        plain,
        scratch,
        _Images(given.name, images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Gemm", "MaxPool"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # The same tensors as in fp32, also behind a Relu that a quantisation could do without.
        extra_options={"QDQKeepRemovableActivations": True},
    )
    made = onnx.load(scratch)
    scratch.unlink()
    del made.graph.value_info[:]
    return bytes(annotate(made).SerializeToString())


def _in_full_width(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights that are stored in half width, each behind a Cast, as float32: the tool sees no weights otherwise."""
    halves = {each.name: each for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in halves]
    for node in casts:
        array = onnx.numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, node.output[0]))
        model.graph.node.remove(node)
    for half in halves.values():
        model.graph.initializer.remove(half)
    return model


class _Images(CalibrationDataReader):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str, images: Sequence[np.ndarray]) -> None:
        self._feeds = iter([{name: image[np.newaxis]} for image in images])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def with_int8_that_runs_nowhere(package: Package, out: Path) -> Package:
    """A package with int8, whose int8 graph has an operator that ONNX Runtime has not on processors."""
    model = onnx.load(package.path / GRAPHS[Precision.INT8])
    last = model.graph.node[-1]
    last.output[0], output = "inner", last.output[0]
    as_bfloat16 = onnx.helper.make_node("Cast", ["inner"], ["short"], to=onnx.TensorProto.BFLOAT16)
    negated = onnx.helper.make_node("Neg", ["short"], ["negated"])
    widened = onnx.helper.make_node("Cast", ["negated"], [output], to=onnx.TensorProto.FLOAT)
    model.graph.node.extend([as_bfloat16, negated, widened])
    del model.graph.value_info[:]
    fp32, licence = (package.path / MODEL).read_bytes(), (package.path / LICENCE).read_text()
    return write(out, package.manifest, model=fp32, licence=licence, int8=annotate(model).SerializeToString())
