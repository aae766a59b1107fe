"""The companion behind another server: the same answers, limits and errors, through ASGI."""

import asyncio
import copy
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import CollabError, InvalidRequest, RequestTooLarge, UnknownModel, UnknownPackage
from collabd.catalog.store import bundle
from collabd.cloud.asgi import Bridge, Message
from collabd.codec import encode
from collabd.config import CloudConfig, Loaded

Reply = tuple[int, dict[str, str], bytes]


class Server:
    """The other side of ASGI: what uvicorn or Ray Serve would do, without a connection."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        orders: asyncio.Queue[Message] = asyncio.Queue()
        reports: asyncio.Queue[Message] = asyncio.Queue()
        task = asyncio.create_task(self.bridge({"type": "lifespan"}, orders.get, reports.put))
        for order in ("lifespan.startup", "lifespan.shutdown"):
            await orders.put({"type": order})
            assert await reports.get() == {"type": f"{order}.complete"}
            if order == "lifespan.startup":
                yield
        await task

    async def call(self, method: str, target: str, *chunks: bytes, headers: Sequence[tuple[str, str]] = ()) -> Reply:
        pieces = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        pieces.append({"type": "http.request"})
        sent: list[Message] = []

        async def receive() -> Message:
            return pieces.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        path, _, query = target.partition("?")
        length = [("transfer-encoding", "chunked")] if chunks and "content-length" not in dict(headers) else []
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (*headers, *length)],
        }
        await self.bridge(scope, receive, send)
        start, end = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, end["body"]

    async def infer(self, model: str, request: wire.InferRequest) -> wire.InferResponse:
        message = wire.encode_request(request)
        body = message.body()
        headers = [*message.headers.items(), ("content-length", str(len(body)))]
        status, found, answer = await self.call("POST", f"/v2/models/{model}/infer", body, headers=headers)
        if status != 200:
            raise wire.decode_error(status, answer)
        assert found["content-length"] == str(len(answer))
        length = found[wire.HEADER_LENGTH.lower()]
        return wire.decode_response(answer, wire.header_length({wire.HEADER_LENGTH: length}))


@pytest.fixture
async def server(tmp_path: Path, package: Any) -> AsyncIterator[Server]:
    """Over the package "branchy", its bridge a copy, as in a replica."""
    settings = {
        "server": {"max_request_mb": 1},
        "engine": {"threads": 1},
        "models": {"roots": [str(tmp_path / "writable"), str(package.path.parent)]},
        "packages": {"max_mb": 1},
        "state_dir": str(tmp_path),
    }
    loaded = Loaded(msgspec.convert(settings, CloudConfig), None)
    bridge = copy.deepcopy(Bridge(lambda: loaded))
    server = Server(bridge)
    async with server.lifespan():
        yield server


def refused(reply: Reply) -> CollabError:
    status, _, body = reply
    return wire.decode_error(status, body)


async def test_whole_networks_and_tails_are_answered_with_the_companions_times(
    server: Server, package: Any, local: Any, images: Any
) -> None:
    image = wire.Tensor.from_array("image", images[:1])
    answer = await server.infer("branchy", wire.InferRequest([image], parameters={"binary_data_output": True}))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-5, atol=1e-6)
    array = local.features(images[:1], ("pool1",))["pool1"]
    encoded = encode(array, "f32")
    tensor = wire.Tensor("pool1", "FP32", array.shape, data=encoded.payload, parameters=encoded.parameters)
    parameters = {"digest": package.digest, "binary_data_output": True}
    answer = await server.infer("branchy", wire.InferRequest([tensor], parameters=parameters))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-4, atol=1e-5)
    assert {"queue_ms", "decode_ms", "compute_ms", "batch", "load", "digest"} <= answer.parameters.keys()


async def test_what_a_device_asks_besides(server: Server, package: Any) -> None:
    assert (await server.call("GET", "/v2/health/ready"))[::2] == (200, b'{"ready": true}')
    status, headers, body = await server.call("POST", "/collab/v1/ping", bytes(9), bytes(7))
    assert (status, json.loads(body)["bytes"]) == (200, 16)
    assert float(headers["collab-receive-ms"]) >= 0
    assert headers[wire.CHECKSUM.lower()] == wire.checksum(body)
    assert headers[wire.REQUEST_CHECKSUM.lower()] == wire.checksum(bytes(16))
    assert (await server.call("GET", f"/collab/v1/profile/{package.digest}"))[0] in {200, 202}
    status, headers, body = await server.call("PUT", f"/collab/v1/packages/{package.digest}", bundle.pack(package))
    assert (status, headers["content-type"]) == (201, "application/json; charset=utf-8")
    assert msgspec.json.decode(body)["digest"] == package.digest


async def test_errors_keep_their_form(server: Server) -> None:
    assert isinstance(refused(await server.call("GET", "/v2/models/none")), UnknownModel)
    assert isinstance(refused(await server.call("GET", "/collab/v1/profile/sha256:none?x=1")), UnknownPackage)
    assert isinstance(refused(await server.call("POST", "/v2/models/branchy/infer", b"{")), InvalidRequest)
    assert "GET" in (await server.call("DELETE", "/v2"))[1]["allow"]


async def test_paths_are_not_rewritten(server: Server) -> None:
    error = refused(await server.call("GET", "/v2/models/%2e%2e%2fv2"))
    assert isinstance(error, UnknownModel)
    assert "'../v2'" in str(error)


async def test_bodies_are_limited_as_they_come_and_once_unpacked(server: Server) -> None:
    path = "/v2/models/branchy/infer"
    assert isinstance(refused(await server.call("POST", path, *[bytes(1 << 19)] * 3)), RequestTooLarge)
    packed = gzip.compress(bytes(3 << 19))
    assert isinstance(
        refused(await server.call("POST", path, packed, headers=[("content-encoding", "gzip")])), RequestTooLarge
    )
    announced = [("content-length", str(1 << 40)), ("expect", "100-continue")]
    assert isinstance(refused(await server.call("POST", path, b"x", headers=announced)), RequestTooLarge)


async def test_a_device_that_hangs_up_in_the_middle_harms_nobody(server: Server) -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return pieces.pop(0)

    async def send(message: Message) -> None:
        pytest.fail(f"nobody is there for {message}")

    headers = [(b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "raw_path": b"/collab/v1/ping", "query_string": b"", "headers": headers}
    with pytest.raises(aiohttp.ClientError):
        await server.bridge(scope, receive, send)
    assert (await server.call("GET", "/v2/health/live"))[0] == 200


async def test_other_protocols_are_not_spoken(server: Server) -> None:
    with pytest.raises(ValueError, match="websocket"):
        await server.bridge({"type": "websocket"}, asyncio.Future, asyncio.Future)  # type: ignore[arg-type]
