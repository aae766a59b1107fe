"""A request about several items: pictures, or sets of tensors, along the first axis of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from collab_sdk import wire
from collab_sdk.channels import channels_of, fits
from collab_sdk.errors import RequestTooLarge
from collabd.catalog.package.manifest import Detect, Manifest

# A call is about as many items at most: it holds one place, and its answer waits for all of them.
MOST_ITEMS = 32
# The output of a detector's answer about several pictures that tells which of them each box is in.
ITEMS = "items"


def items_of(request: wire.InferRequest, manifest: Manifest) -> list[wire.InferRequest]:
    """The request for each item, in their order; nothing if it is about one item, or is no request for this network.

    Raises `RequestTooLarge` for more than `MOST_ITEMS`.
    """
    count = _count(request, manifest)
    if count <= 1:
        return []
    if count > MOST_ITEMS:
        raise RequestTooLarge(f"the request has {count} items, and may have {MOST_ITEMS}: send several requests")
    # In whole: what is to be made of them is made of all items at once. Which item a box is of, is known only then.
    outputs = [wire.RequestedOutput(each.name) for each in request.outputs if not _tells_item(each.name, manifest)]
    by_input = [list(_split(tensor)) for tensor in request.inputs]
    return [replace(request, inputs=list(inputs), outputs=outputs) for inputs in zip(*by_input, strict=True)]


def _tells_item(output: str, manifest: Manifest) -> bool:
    return output == ITEMS and isinstance(manifest.task, Detect)


def _count(request: wire.InferRequest, manifest: Manifest) -> int:
    if manifest.picture is not None:
        return _pictures(request) if len(request.inputs) == 1 else 0
    ports = {port.name: port for port in manifest.inputs}
    counts = {
        tensor.shape[0] if tensor.name in ports and ports[tensor.name].shape[:1] == (None,) and tensor.shape else 0
        for tensor in request.inputs
    }
    return counts.pop() if len(counts) == 1 else 0


def _pictures(request: wire.InferRequest) -> int:
    tensor = request.inputs[0]
    shape = tensor.shape
    if tensor.datatype == "BYTES":
        return shape[0] if len(shape) == 1 else 0
    if tensor.datatype == "FP32":
        return shape[0] if len(shape) == 4 else 0
    channels = channels_of(tensor.parameters.get("channels", request.parameters.get("channels", "rgb")))
    is_batch = len(shape) > 1 and not fits(shape, channels) and fits(shape[1:], channels)
    return shape[0] if is_batch else 0


def _split(tensor: wire.Tensor) -> Iterator[wire.Tensor]:
    if tensor.datatype == "BYTES":
        for element in tensor.to_bytes_list():
            yield wire.Tensor.from_bytes_list(tensor.name, [element], tensor.parameters)
    else:
        array = tensor.to_array()
        for index in range(len(array)):
            yield wire.Tensor.from_array(tensor.name, array[index : index + 1], tensor.parameters)
