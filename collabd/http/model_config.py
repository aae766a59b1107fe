"""What a network takes and gives, as Triton's model configuration says it; its own clients read that before they call.

Ultralytics' client reads the names of the classes, and the size of the picture, from `parameters.metadata`, where its
exports write them: a Python literal in a string.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from collab_sdk import wire
from collabd.catalog.package.manifest import Manifest, Port, kind_of

# The largest stride of the usual networks: clients round the size of a picture up to a multiple of it.
_STRIDE = 32


def model_config(
    manifest: Manifest, inputs: Sequence[Port], outputs: Sequence[Port], *, max_batch: int
) -> dict[str, Any]:
    """The configuration of a model with these ports.

    `max_batch`: how many items one request may have; the ports then begin with the axis of the items, which the
    protocol leaves out here. 0: there is no such axis.
    """
    return {
        "name": manifest.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": max_batch,
        "input": [_port(port, max_batch) for port in inputs],
        "output": [_port(port, max_batch) for port in outputs],
        "parameters": {"metadata": {"string_value": repr(_metadata(manifest))}},
    }


def _port(port: Port, max_batch: int) -> dict[str, Any]:
    datatype = wire.datatype_of(np.dtype(port.dtype))
    shape = port.shape[1:] if max_batch else port.shape
    dims = [-1 if size is None else size for size in shape]
    return {"name": port.name, "data_type": f"TYPE_{datatype}", "dims": dims}


def _metadata(manifest: Manifest) -> dict[str, Any]:
    said: dict[str, Any] = {"task": kind_of(manifest.task), "batch": 1}
    if manifest.labels:
        said["names"] = dict(enumerate(manifest.labels))
    if (picture := manifest.picture) is not None:
        said["imgsz"] = [picture.height, picture.width]
        said["stride"] = math.gcd(picture.height, picture.width, _STRIDE)
    return said
