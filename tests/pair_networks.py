"""A pair of small classifiers that tell which colour a picture has most of, and pictures for them.

The little one looks at one corner alone and errs where the picture is mixed; then it is hardly ever sure.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from collabd.catalog.authoring.build import build
from collabd.catalog.authoring.pairing import pair
from collabd.catalog.package.manifest import Classify, Picture
from collabd.catalog.package.package import Package
from tests.int8_twin import with_int8

COLOURS = ("red", "green", "blue")
SIDE = 16
# Of the big one, so that it takes as long as hundreds of runs of the little one.
_CONVOLUTIONS = 40
_CHANNELS = 56


def pictures(count: int, seed: int = 5) -> list[np.ndarray]:
    """Uint8 [16, 16, 3]: a colour and noise, of which there is more in every other one."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        picture = np.full((SIDE, SIDE, 3), 90.0)
        picture[..., index % 3] += 25 + 60 * (index % 2 == 0)
        coarse = rng.normal(0, 12 if index % 2 == 0 else 45, (4, 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
        made.append(np.clip(picture + coarse, 0, 255).astype(np.uint8))
    return made


def big_package(out: Path, name: str = "big") -> Package:
    """Looks at the whole picture, through convolutions that only take time."""
    identity = np.zeros((_CHANNELS, _CHANNELS, 3, 3), np.float32)
    identity[range(_CHANNELS), range(_CHANNELS), 1, 1] = 1
    first = np.zeros((_CHANNELS, 3, 3, 3), np.float32)
    first[range(3), range(3), 1, 1] = 1
    nodes = [helper.make_node("Conv", ["scaled", "first"], ["c0"], pads=[1, 1, 1, 1])]
    for index in range(_CONVOLUTIONS):
        nodes += [
            helper.make_node("Conv", [f"c{index}", "identity"], [f"d{index}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"d{index}"], [f"c{index + 1}"]),
        ]
    nodes.append(helper.make_node("GlobalAveragePool", [f"c{_CONVOLUTIONS}"], ["pooled"]))
    return _built(nodes, {"identity": identity, "first": first}, channels=_CHANNELS, name=name, out=out)


def little_package(out: Path, labels: tuple[str, ...] = COLOURS, name: str = "little") -> Package:
    """Looks at the upper left quarter."""
    nodes = [
        helper.make_node("Slice", ["scaled", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("GlobalAveragePool", ["corner"], ["pooled"]),
    ]
    corner = {"starts": [0, 0], "ends": [SIDE // 2, SIDE // 2], "axes": [2, 3]}
    weights = {key: np.array(value, np.int64) for key, value in corner.items()}
    return _built(nodes, weights, channels=3, name=name, out=out, labels=labels)


def little_in_both_precisions(directory: Path) -> Package:
    """The little one with an int8 graph."""
    return with_int8(little_package(directory / "fp32"), pictures(60), directory / "little")


def paired_in_both_precisions(directory: Path) -> tuple[Package, Package]:
    """As `paired_packages`, where the little one has an int8 graph."""
    little = little_in_both_precisions(directory)
    return pair(big_package(directory / "big"), little, pictures(900), out=directory / "big"), little


def paired_packages(directory: Path) -> tuple[Package, Package]:
    """The big one, with the little one named in it, and the little one."""
    little = little_package(directory / "little")
    return pair(big_package(directory / "big"), little, pictures(900), out=directory / "big"), little


def _built(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    *,
    channels: int,
    name: str,
    out: Path,
    labels: tuple[str, ...] = COLOURS,
) -> Package:
    classes = np.zeros((3, channels), np.float32)
    classes[range(3), range(3)] = 12
    weights = weights | {"scale": np.full((3, 1, 1), 1 / 255, np.float32), "classes": classes}
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["scaled"]),
            *nodes,
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "classes"], ["logits"], transB=1),
        ],
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    return build(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]),
        name=name,
        task=Classify(labels=labels),
        picture=Picture(height=SIDE, width=SIDE),
        licence="CC0-1.0",
        provenance="made for the tests",
        images=pictures(60),
        out=out,
    )
