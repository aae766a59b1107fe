"""A request about several items, as the device takes it apart, prepares each, and puts the answers together."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec
import numpy as np

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest
from collab_sdk.wire import InferRequest, InferResponse, RequestedOutput, Tensor, WireError
from collabd.catalog.package.manifest import Manifest, Port
from collabd.device.call.batch import answer_batch
from collabd.device.call.dispatcher import is_plainly_one
from collabd.device.job.batch import MOST_ITEMS, items_of
from collabd.device.job.image import CallImage
from collabd.device.job.tensors import CallTensors
from tests.fuzz import message, pictures, tiny
from tests.fuzz.edges import request as protocol
from tests.task_networks import DETECT, NETWORKS

WORDS = (*protocol.WORDS, "items", "detections", "boxes", "signal", "gain", "raw")
_SIDE = tiny.SIDE
_DIGEST = {"digest": "sha256:0", "task": "classify", "energy_source": "model"}
_SIGNAL = (Port("signal", "float32", (None, 4)), Port("gain", "int32", (None, 1)))


def _tensors() -> Manifest:
    return msgspec.structs.replace(tiny.MANIFEST, picture=None, task=NETWORKS["tensors"][1], inputs=_SIGNAL)


def _detector() -> Manifest:
    ports = (
        Port("boxes", "float32", (None, 5, 4)),
        Port("scores", "float32", (None, 5)),
        Port("classes", "int32", (None, 5)),
    )
    return msgspec.structs.replace(tiny.MANIFEST, task=DETECT, outputs=ports)


MANIFESTS = (tiny.MANIFEST, _tensors(), _detector())


def check(data: bytes) -> None:
    """Refused with a typed error, or as many answers as items, none of which holds anything of another."""
    headers, body = message.split(data)
    try:
        request = wire.decode_request(body, wire.header_length(headers))
    except WireError:
        return
    for manifest in MANIFESTS:
        _check(request, manifest)


def _check(request: InferRequest, manifest: Manifest) -> None:
    try:
        items = items_of(request, manifest)
        if not items:
            return
        assert not is_plainly_one(request)
        assert 2 <= len(items) <= MOST_ITEMS
        for item in items:
            if manifest.picture is None:
                given = CallTensors.from_request(item, manifest)
                assert {name: array.shape for name, array in given.arrays.items()} == {"signal": (1, 4), "gain": (1, 1)}
            else:
                pixels = CallImage.from_request(item, manifest.picture).prepare(manifest.picture)
                assert pixels.dtype == np.uint8
                assert pixels.shape == (1, _SIDE, _SIDE, 3)
        answer = _done(_answered(request, items, manifest))
    except (WireError, InvalidRequest):
        return
    assert answer.parameters["items"] == len(items)
    if manifest is MANIFESTS[2]:
        return
    assert all(tensor.shape[0] == len(items) for tensor in answer.outputs)
    wire.encode_response(answer, binary=True)


async def _answered(request: InferRequest, items: list[InferRequest], manifest: Manifest) -> InferResponse:
    count = iter(range(len(items)))

    async def infer(name: str, item: InferRequest) -> InferResponse:
        scores = np.full((1, len(tiny.LABELS)), next(count), np.float32)
        outputs = [Tensor.from_array("scores", scores)]
        if manifest is MANIFESTS[2]:
            found = len(item.inputs[0].data) % 3
            outputs = [
                Tensor.from_array("boxes", np.zeros((found, 4), np.float32)),
                Tensor.from_array("scores", np.zeros(found, np.float32)),
                Tensor.from_array("classes", np.zeros(found, np.int32)),
            ]
        if item.outputs:
            named = {output.name for output in item.outputs}
            known = {each.name: each for each in outputs}
            # Any other name is of the raw outputs, or of rows of boxes.
            outputs = [known.get(name, Tensor.from_array(name, scores)) for name in named]
        return InferResponse(name, "1", outputs, parameters=dict(_DIGEST))

    return await answer_batch(infer, request, items, manifest=manifest, arrived=0.0, clock=lambda: 0.5)


def _done(waited: Coroutine[Any, Any, InferResponse]) -> InferResponse:
    """What it returns; it never has to wait."""
    try:
        waited.send(None)
    except StopIteration as done:
        answer: InferResponse = done.value
        return answer
    raise AssertionError("it waits")


def seeds() -> list[bytes]:
    """Pictures and tensors of several kinds, some of them wrong."""
    pixels = np.arange(2 * _SIDE * _SIDE * 3, dtype=np.uint8).reshape(2, _SIDE, _SIDE, 3)
    floats = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) / np.float32(255))
    two = Tensor.from_bytes_list("image", [pictures.encoded("PNG")] * 2)
    asked = [RequestedOutput("scores", {"binary_data": True, "classification": 1})]
    requests = [
        InferRequest([Tensor.from_array("image", pixels)], outputs=asked),
        InferRequest([Tensor.from_array("image", floats)], parameters={"timeout": 500, "budget": "80ms,1J"}),
        InferRequest([Tensor.from_array("image", floats * 2)]),
        InferRequest([Tensor.from_array("image", np.moveaxis(floats, 1, 3).copy())], parameters={"raw": True}),
        InferRequest([Tensor.from_array("image", pixels[..., 0].copy())], parameters={"channels": "grey"}),
        InferRequest([Tensor.from_bytes_list("image", [pictures.encoded("PNG"), pictures.encoded("JPEG"), b"no"])]),
        InferRequest([two], outputs=[RequestedOutput("items")]),
        InferRequest(
            [
                Tensor.from_array("signal", np.ones((3, 4), np.float32)),
                Tensor.from_array("gain", np.ones((3, 1), np.int32)),
            ]
        ),
    ]
    return [message.joined(wire.encode_request(each)) for each in requests]
