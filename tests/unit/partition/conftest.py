"""Small graphs, and the four torchvision networks, as the product sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from collabd.partition import Network, order

Build = Callable[..., onnx.ModelProto]


@pytest.fixture(scope="session")
def model() -> Build:
    """A model from nodes: `x` is float32 [batch, 4, 8, 8] unless `inputs` says otherwise."""

    def build(
        nodes: Sequence[onnx.NodeProto],
        outputs: Sequence[str],
        weights: Mapping[str, np.ndarray] | None = None,
        inputs: Mapping[str, tuple[int, Sequence[int | str]]] | None = None,
    ) -> onnx.ModelProto:
        ports = inputs or {"x": (TensorProto.FLOAT, ["batch", 4, 8, 8])}
        graph = helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in ports.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
        )
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])

    return build


def _exported(name: str) -> Network:
    """A torchvision network, random weights, 96 x 96 pixels, exported, optimised and ordered as for a package."""
    import torch
    import torchvision

    from collabd.catalog.authoring.optimise import optimise
    from collabd.catalog.authoring.pytorch.export import export

    torch.manual_seed(3)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    module = getattr(torchvision.models, name)(weights=None, **options)
    graph = export(module, height=96, width=96, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    return Network.from_proto(order(optimise(graph)))


@pytest.fixture(scope="session", params=("resnet18", "googlenet", "mobilenet_v3_large", "densenet121"))
def torchvision_network(request: pytest.FixtureRequest) -> Network:
    """One torchvision network."""
    return _exported(request.param)
