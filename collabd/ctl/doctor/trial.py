"""Imports ONNX Runtime and runs a graph, in a process of its own because this may end the process.

Prints the versions as JSON. Exit status 3: ONNX Runtime runs, but its result is wrong.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

WRONG = 3
_IMAGE, _KERNEL = (1, 3, 8, 8), (4, 3, 3, 3)


def main() -> int:
    """Convolve ones with ones: each number of the answer is the count of the numbers that were added for it."""
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", _IMAGE), ("kernel", _KERNEL), ("answer", (1, 4, 6, 6)))
    ]
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["sums"]), helper.make_node("Relu", ["sums"], ["answer"])]
    graph = helper.make_graph(nodes, "trial", ports[:2], ports[2:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {name: np.ones(shape, np.float32) for name, shape in (("image", _IMAGE), ("kernel", _KERNEL))}
    (answer,) = session.run(None, feeds)
    print(json.dumps({"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}))
    return 0 if np.array_equal(answer, np.full((1, 4, 6, 6), 27, np.float32)) else WRONG


if __name__ == "__main__":
    sys.exit(main())
