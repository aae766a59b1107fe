"""Bad input: a typed error that says what to do, HTTP 4xx on the wire, the daemon unharmed."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from collab_sdk import (
    CollabError,
    InvalidBudget,
    InvalidImage,
    InvalidPlacement,
    InvalidRequest,
    InvalidTensor,
    UnknownModel,
    wire,
)
from tests.integration.device.conftest import Bench, Factory


def jpeg(size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


async def unharmed(it: Bench) -> None:
    result = await it.client.infer(it.images[0])
    np.testing.assert_allclose(result.scores, it.reference(it.images[0]), atol=1e-5)


IMAGES: list[tuple[str, bytes]] = [
    ("text", b"I am no image"),
    ("empty", b""),
    ("truncated JPEG", jpeg(64)[:600]),
    ("only a JPEG marker", b"\xff\xd8\xff"),
    ("half a JPEG with an end", jpeg(64)[:1200] + b"\xff\xd9"),
    ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(900)),
    ("0 x 0", png_header(0, 0)),
    ("30,000 x 30,000", png_header(30_000, 30_000)),
]


@pytest.mark.parametrize("data", [data for _, data in IMAGES], ids=[name for name, _ in IMAGES])
async def test_images_that_are_none(bench: Factory, data: bytes) -> None:
    async with bench(cloud=False) as it:
        with pytest.raises(InvalidImage):
            await it.client.infer(data)
        await unharmed(it)


async def test_a_broken_file_is_refused_even_where_it_would_travel_as_it_came(bench: Factory) -> None:
    async with bench() as it:
        with pytest.raises(InvalidImage):
            await it.client.infer(jpeg(64)[:600], cut="image", codec="source")
        await unharmed(it)


CALLS: list[tuple[dict[str, Any], type[CollabError], str]] = [
    ({"model": "resnet"}, UnknownModel, "these are: tiny"),
    ({"model": "../../etc"}, UnknownModel, "no model"),
    ({"cut": "nowhere"}, InvalidPlacement, "the candidate cuts are image"),
    ({"placement": "DDC"}, InvalidPlacement, "letters"),
    ({"placement": "D" * 40}, InvalidPlacement, "letters"),
    ({"cut": "relu1", "codec": "jpeg"}, InvalidPlacement, "jpeg90 is for the image"),
    ({"cut": "image", "codec": "source"}, InvalidPlacement, "give a file"),
    ({"codec": "mp3"}, InvalidRequest, "unknown codec"),
]


@pytest.mark.parametrize(("options", "error", "says"), CALLS, ids=lambda value: str(value)[:40])
async def test_calls_that_cannot_be(
    bench: Factory, options: dict[str, Any], error: type[CollabError], says: str
) -> None:
    async with bench(cloud=False) as it:
        with pytest.raises(error, match=says):
            await it.client.infer(it.images[0], **options)
        await unharmed(it)


def request(parameters: dict[str, Any], *tensors: wire.Tensor) -> wire.Message:
    return wire.encode_request(wire.InferRequest(list(tensors), parameters=parameters))


def pixels(shape: tuple[int, ...], dtype: type = np.uint8) -> wire.Tensor:
    return wire.Tensor.from_array("image", np.zeros(shape, dtype))


TWO = (pixels((16, 16, 3)), wire.Tensor.from_array("other", np.zeros((16, 16, 3), np.uint8)))

WIRE: dict[str, tuple[Callable[[], wire.Message], int, str]] = {
    "negative cap": (lambda: request({"budget": "-5ms"}, pixels((16, 16, 3))), 400, InvalidBudget.code),
    "NaN cap": (lambda: request({"budget": "nan ms"}, pixels((16, 16, 3))), 400, InvalidBudget.code),
    "unknown unit": (lambda: request({"budget": "5 lightyears"}, pixels((16, 16, 3))), 400, InvalidBudget.code),
    "unknown parameter": (lambda: request({"bugdet": "5ms"}, pixels((16, 16, 3))), 400, InvalidRequest.code),
    "gray": (lambda: request({}, pixels((16, 16))), 400, InvalidTensor.code),
    "four channels": (lambda: request({}, pixels((16, 16, 4))), 400, InvalidTensor.code),
    "no pixels": (lambda: request({}, pixels((0, 16, 3))), 400, InvalidTensor.code),
    "floats of another size": (lambda: request({}, pixels((17, 16, 3), np.float32)), 400, InvalidTensor.code),
    "floats beyond 1": (
        lambda: request({}, wire.Tensor.from_array("image", np.full((16, 16, 3), 255, np.float32))),
        400,
        InvalidTensor.code,
    ),
    "two tensors": (lambda: request({}, *TWO), 400, InvalidTensor.code),
    "a tensor twice": (lambda: request({}, pixels((16, 16, 3)), pixels((16, 16, 3))), 400, InvalidRequest.code),
    "files that are none": (
        lambda: request({}, wire.Tensor.from_bytes_list("image", [b"a", b"b"])),
        400,
        InvalidImage.code,
    ),
    "no JSON": (lambda: wire.Message([b"<xml/>"], {}), 400, InvalidRequest.code),
    "no inputs": (lambda: wire.Message([b"{}"], {}), 400, InvalidRequest.code),
    "a lie about the length": (lambda: wire.Message([b"{}"], {wire.HEADER_LENGTH: "99"}), 400, InvalidRequest.code),
    "too large": (lambda: wire.Message([bytes(2 * 2**20)], {}), 413, "request_too_large"),
}


async def posted(it: Bench, message: wire.Message) -> tuple[int, bytes, Any]:
    """Status, body and headers of the reply to another client of the protocol."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(it.socket))) as session,
        session.post(
            "http://d/v2/models/tiny/infer", data=io.BytesIO(message.body()), headers=message.headers
        ) as reply,
    ):
        return reply.status, await reply.read(), reply.headers


@pytest.mark.parametrize("kind", WIRE)
async def test_on_the_wire(bench: Factory, kind: str) -> None:
    make, expected, code = WIRE[kind]
    async with bench("[server]\nmax_request_mb = 1\n", cloud=False) as it:
        status, body, _ = await posted(it, make())
        answer = json.loads(body)
        assert (status, answer["code"]) == (expected, code)
        assert len(answer["error"]) > 10
        await unharmed(it)


@pytest.mark.parametrize("where", ["request", "tensor"])
async def test_a_client_of_the_protocol_says_what_its_pixels_are(bench: Factory, where: str) -> None:
    async with bench(cloud=False) as it:
        frame = np.dstack([it.images[0][..., ::-1], np.zeros((16, 16), np.uint8)])[np.newaxis]
        _, refused, _ = await posted(it, request({}, wire.Tensor.from_array("image", frame)))
        assert 'channels=\\"rgbx\\" if red comes first' in refused.decode()
        of_request, of_tensor = ({"channels": "bgrx"} if name == where else {} for name in ("request", "tensor"))
        status, body, headers = await posted(it, request(of_request, wire.Tensor.from_array("image", frame, of_tensor)))
        assert status == 200
        scores = wire.decode_response(body, wire.header_length(headers)).outputs[0]
        np.testing.assert_allclose(np.ravel(scores.to_array()), it.reference(it.images[0]), atol=1e-5)
