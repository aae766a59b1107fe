"""A request to either daemon: the protocol's decoder, then what the device reads from it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest
from collab_sdk.image import image_tensor
from collab_sdk.wire import InferRequest, RequestedOutput, Tensor, WireError
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.http.parameters import check_outputs
from tests.fuzz import message, pictures, tiny

WORDS = (
    *("inputs", "outputs", "parameters", "name", "datatype", "shape", "data", "binary_data_size", "binary_data", "id"),
    *(
        "classification",
        "timeout",
        "priority",
        "codec",
        "zstd",
        "channel_axis",
        "budget",
        "cut",
        "placement",
        "pin_first",
        "fallback",
        "on_infeasible",
    ),
    *("FP32", "FP16", "UINT8", "INT64", "BOOL", "BYTES", "image", "relu", "flat", "logits", "null", "true", "1e400"),
)


def check(data: bytes) -> None:
    """Nothing but `WireError` and what the device refuses; what was read is written and read again alike."""
    headers, body = message.split(data)
    try:
        request = wire.decode_request(body, wire.header_length(headers))
    except WireError:
        return
    # A JSON number has at least two characters with its comma, and an element at most eight bytes.
    assert sum(len(tensor.data) for tensor in request.inputs) <= 4 * len(body) + 8
    again = wire.encode_request(request)
    assert wire.decode_request(again.body(), wire.header_length(again.headers)) == request
    for tensor in request.inputs:
        if tensor.datatype != "BYTES" and "codec" not in tensor.parameters:
            assert tensor.to_array().shape == tensor.shape
    _read_by_the_device(request)


def _read_by_the_device(request: InferRequest) -> None:
    try:
        options = CallOptions.from_parameters(request.parameters)
        assert options.caps(0.99).fidelity is not None
        check_outputs(request.outputs, "scores", there=("scores",))
        image = CallImage.from_request(request, tiny.MANIFEST.require_picture())
        pixels = image.prepare(tiny.MANIFEST.require_picture())
    except (InvalidRequest, WireError):
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape == (1, tiny.SIDE, tiny.SIDE, 3)


def seeds() -> list[bytes]:
    """What the SDK, another client and a device send."""
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    relu = Tensor.from_array("relu", np.ones((1, 4, 6, 6), np.float32))
    wishes: dict[str, Any] = {"budget": "80ms,150mJ,99%,min-energy", "fallback": "local", "binary_data_output": True}
    digest = tiny.package().digest
    requests = [
        InferRequest([image_tensor(pixels)], parameters=wishes),
        InferRequest([image_tensor(pixels, "bgr")]),
        InferRequest([image_tensor(np.ascontiguousarray(pixels[:6, :, 0]), "yuv420")]),
        InferRequest([Tensor.from_array("image", pixels[..., [0, 1, 2, 0]])], parameters={"channels": "rgbx"}),
        InferRequest([image_tensor(pictures.encoded("PNG"))], parameters={"cut": "conv", "codec": "q8"}),
        InferRequest([image_tensor(pictures.encoded("JPEG"))], parameters={"placement": "DCC", "pin_first": 1}),
        InferRequest(
            [relu], outputs=[RequestedOutput("logits", {"binary_data": True})], id="7", parameters={"digest": digest}
        ),
    ]
    listed = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 3], "data": [[[1, 2, 3]]]}
    text = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["GIF89a"]}
    top = {"name": "scores", "parameters": {"classification": 2}}
    plain = [
        {"id": "1", "inputs": [item], "outputs": [top], "parameters": {"budget": 0.5, "timeout": 9}}
        for item in (listed, text)
    ]
    binary = [message.joined(wire.encode_request(request)) for request in requests]
    return [*binary, *(b"\n" + json.dumps(each).encode() for each in plain)]
