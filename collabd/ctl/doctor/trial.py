"""Run in a process of its own, since what it tries may end the process: import ONNX Runtime and run a graph.

Prints the versions as JSON. Exit status 3: it runs and counts wrongly.
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
    """Convolve ones by ones: each number of the answer is how many numbers it was made of."""
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
