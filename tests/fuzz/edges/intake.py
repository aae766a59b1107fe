"""A request as the companion takes it in: every tensor held against the graph, decoded, joined into work."""

from __future__ import annotations

from functools import cache

import numpy as np

from collab_sdk import wire
from collab_sdk.errors import InvalidRequest
from collab_sdk.wire import InferRequest, RequestedOutput, Tensor, WireError
from collabd.cloud.call.work import RequestLimits, work_of
from collabd.cloud.models.model import CloudModel
from collabd.codec import encode
from tests.fuzz import message, tiny
from tests.fuzz.edges import request as protocol

WORDS = protocol.WORDS
LIMITS = RequestLimits(batch=8, decoded_bytes=2**20)


@cache
def _model() -> CloudModel:
    return CloudModel(tiny.package(), tiny.package().networks())


def check(data: bytes) -> None:
    """Refused with a typed error, or work that fits the graph and the limits."""
    headers, body = message.split(data)
    model = _model()
    try:
        request = wire.decode_request(body, wire.header_length(headers))
        work = work_of(request, model, LIMITS)
    except (WireError, InvalidRequest):
        return
    assert sum(array.nbytes for array in work.feeds.values()) <= LIMITS.decoded_bytes
    assert 1 <= work.rows <= LIMITS.batch
    for name, array in work.feeds.items():
        info = model.tensor(name)
        assert array.dtype == info.dtype
        assert array.shape == tuple(work.rows if size is None else size for size in info.shape)


def seeds() -> list[bytes]:
    """Tails from every cut in every codec, and whole networks."""
    rng = np.random.default_rng(5)
    relu = rng.normal(size=(1, 4, 6, 6)).astype(np.float32)
    flat = rng.normal(size=(2, 4)).astype(np.float32)
    image = rng.integers(0, 256, (1, tiny.SIDE, tiny.SIDE, 3), np.uint8)
    tails = [
        *(_encoded("relu", relu, codec, axis) for codec in ("f32", "f16", "q8", "q4") for axis in (None, 1)),
        *(_encoded("flat", flat, codec, None) for codec in ("f16", "q8")),
        *(_encoded("image", image, codec, None) for codec in ("u8", "jpeg")),
    ]
    asked = [RequestedOutput("logits", {"binary_data": True})]
    return [
        *(message.joined(wire.encode_request(InferRequest([each], outputs=asked))) for each in tails),
        *protocol.seeds(),
    ]


def _encoded(name: str, array: np.ndarray, codec: str, axis: int | None) -> Tensor:
    encoded = encode(array, codec, axis)
    return Tensor(
        name, wire.datatype_of(array.dtype), array.shape, data=encoded.payload, parameters=dict(encoded.parameters)
    )
