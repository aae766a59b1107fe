"""A real package that takes no calibration: small enough to be mutated, and run thousands of times a second."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.package.manifest import Agreement, Classify, CodecFigures, Cut, Layer, Manifest, Picture, Port
from collabd.catalog.package.package import Package, write
from collabd.profiling.profile import CodecTimes, CutTimes, Machine, Profile
from tests.fuzz.scratch import new_directory

SIDE = 8
LABELS = ("circle", "square")
AGREEMENT = Agreement(agreed=9, images=10, sure_agreed=8, sure_images=8)

MANIFEST = Manifest(
    name="tiny",
    task=Classify(labels=LABELS),
    picture=Picture(height=SIDE, width=SIDE),
    inputs=(Port("image", "uint8", (None, SIDE, SIDE, 3)),),
    outputs=(Port("logits", "float32", (None, len(LABELS))),),
    dynamic_batch=True,
    layers=(
        Layer(name="conv", op="Conv", tensors=("relu",), macs=3456),
        Layer(name="pool", op="AveragePool", tensors=("flat",), macs=0),
        Layer(name="fc", op="Gemm", tensors=("logits",), macs=16),
    ),
    cuts=(
        Cut(
            name="image",
            head_layers=0,
            tensors=("image",),
            codecs=(
                CodecFigures(codec="u8", channel_axis=None, bytes_median=90, bytes_p95=192),
                CodecFigures(codec="jpeg90", channel_axis=None, bytes_median=7, bytes_p95=8, agreement=AGREEMENT),
            ),
        ),
        Cut(
            name="conv",
            head_layers=1,
            tensors=("relu",),
            codecs=(
                CodecFigures(codec="q8", channel_axis=1, bytes_median=90, bytes_p95=120, agreement=AGREEMENT),
                CodecFigures(codec="f32", channel_axis=None, bytes_median=400, bytes_p95=576),
            ),
        ),
        Cut(
            name="pool",
            head_layers=2,
            tensors=("flat",),
            codecs=(
                CodecFigures(codec="q4", channel_axis=None, bytes_median=14, bytes_p95=16, agreement=AGREEMENT),
                CodecFigures(codec="f32", channel_axis=None, bytes_median=16, bytes_p95=16),
            ),
        ),
    ),
    licence="CC0-1.0",
    provenance="made for the tests",
)

MACHINE = Machine(cpu="a Pi", cores=4, onnxruntime="1.22.0", collabd="0.1.0")


@cache
def package() -> Package:
    """uint8 [batch, 8, 8, 3] to 2 scores. Its directory's parent holds nothing else."""
    return write(new_directory("packages") / "tiny", MANIFEST, model=graph().SerializeToString(), licence="CC0-1.0")


def graph() -> onnx.ModelProto:
    """A convolution, pooling and a linear layer."""
    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "conv.weight"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("AveragePool", ["relu"], ["pool"], kernel_shape=[6, 6]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight"], ["logits"]),
    ]
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("conv.weight", (4, 3, 3, 3)), ("fc.weight", (4, len(LABELS))))
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])
    made = helper.make_graph(nodes, "tiny", [image], [logits], weights)
    model = helper.make_model(made, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def profile() -> Profile:
    """Times of the package on some machine."""
    cuts = tuple(
        CutTimes(cut.name, 0.25 * cut.head_layers, 1.0, tuple(CodecTimes(each.codec, 0.1, 0.1) for each in cut.codecs))
        for cut in MANIFEST.cuts
    )
    return Profile(package().digest, MACHINE, 1, prep_ms=0.1, whole_ms=1.0, spread=1.1, cuts=cuts)
