"""The protocol's HTTP adapter, in front of a data plane that echoes."""

import asyncio
import gzip
import json
import logging
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collab_sdk import wire
from collab_sdk.errors import CollabError, InvalidTensor, Overloaded, UnknownModel
from collab_sdk.result import MODEL_VERSION
from collabd.codec import CodecError
from collabd.http import protocol
from collabd.http.bodies import BODY, NETWORK, BodyPace
from collabd.http.error_replies import error_middleware

LIMIT = 10_000
FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


class Echo:
    """Answers with its inputs, or with the error it was given."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.is_ready = True
        self.asked: wire.InferRequest | None = None

    def ready(self) -> bool:
        return self.is_ready

    def server_metadata(self) -> dict[str, Any]:
        return {"name": "echo", "version": "1", "extensions": []}

    def models(self) -> list[str]:
        return ["echo"]

    def model_ready(self, name: str) -> bool:
        self._known(name)
        return self.is_ready

    def model_metadata(self, name: str) -> dict[str, Any]:
        self._known(name)
        return {"platform": "none", "inputs": [], "outputs": []}

    async def infer(self, name: str, request: wire.InferRequest) -> wire.InferResponse:
        self._known(name)
        self.asked = request
        if self.error is not None:
            raise self.error
        return wire.InferResponse(name, MODEL_VERSION, request.inputs, id=request.id, parameters={"took_ms": 1.5})

    def _known(self, name: str) -> None:
        if name != "echo":
            raise UnknownModel(f"no model {name!r}; loaded: echo")


Client = TestClient[web.Request, web.Application]


@pytest.fixture
def plane() -> Echo:
    return Echo()


@pytest.fixture
async def client(plane: Echo) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[error_middleware])
    app.add_routes(protocol.routes(plane, LIMIT))
    async with TestClient(TestServer(app)) as client:
        yield client


def request(**parameters: Any) -> wire.InferRequest:
    return wire.InferRequest([wire.Tensor.from_array("x", FEATURES)], id="7", parameters=parameters)


async def infer(client: Client, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes, Any]:
    async with client.post("/v2/models/echo/infer", data=body, headers=headers) as reply:
        return reply.status, await reply.read(), reply.headers


async def refused(client: Client, body: bytes, headers: dict[str, str] | None = None) -> CollabError:
    status, content, _ = await infer(client, body, headers)
    error = wire.decode_error(status, content)
    assert error.http_status == status
    return error


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/echo/ready", "/v2/models/echo"])
async def test_health_and_metadata_answer_get_and_head(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200
    head = await client.head(path)
    assert head.status == 200
    assert await head.read() == b""


async def test_a_plane_that_is_not_ready_is_alive(client: Client, plane: Echo) -> None:
    plane.is_ready = False
    assert (await client.get("/v2/health/live")).status == 200
    assert (await client.get("/v2/health/ready")).status == 503
    assert (await client.get("/v2/models/echo/ready")).status == 503
    index = await (await client.post("/v2/repository/index")).json()
    assert index == [{"name": "echo", "version": "1", "state": "UNAVAILABLE", "reason": ""}]


async def test_metadata_names_server_model_and_version(client: Client) -> None:
    assert (await (await client.get("/v2")).json())["name"] == "echo"
    model = await (await client.get("/v2/models/echo/versions/1")).json()
    assert (model["name"], model["versions"]) == ("echo", ["1"])


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/none/ready", "/v2/models/echo/versions/2"])
async def test_an_unknown_model_or_version_is_404(client: Client, path: str) -> None:
    reply = await client.get(path)
    error = wire.decode_error(reply.status, await reply.read())
    assert isinstance(error, UnknownModel)
    assert reply.status == 404


async def test_binary_in_binary_out(client: Client, plane: Echo) -> None:
    message = wire.encode_request(request(binary_data_output=True, budget="80ms"))
    status, body, headers = await infer(client, message.body(), message.headers)
    answer = wire.decode_response(body, wire.header_length(headers))
    assert status == 200
    np.testing.assert_array_equal(answer.outputs[0].to_array(), FEATURES)
    assert (answer.model_name, answer.model_version, answer.id, answer.parameters) == (
        "echo",
        "1",
        "7",
        {"took_ms": 1.5},
    )
    assert plane.asked is not None
    assert plane.asked.parameters["budget"] == "80ms"


async def test_json_in_json_out_for_curl(client: Client) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": FEATURES.tolist()}
    status, body, headers = await infer(client, json.dumps({"inputs": [tensor]}).encode())
    assert status == 200
    assert wire.HEADER_LENGTH not in headers
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["outputs"][0]["data"] == FEATURES.reshape(-1).tolist()


async def test_each_output_comes_as_asked(client: Client) -> None:
    asked = request(binary_data_output=True)
    asked.inputs.append(wire.Tensor.from_array("y", FEATURES))
    asked.outputs = [wire.RequestedOutput("x", {"binary_data": False}), wire.RequestedOutput("y")]
    message = wire.encode_request(asked)
    _, body, headers = await infer(client, message.body(), message.headers)
    x, y = json.loads(body[: int(headers[wire.HEADER_LENGTH])])["outputs"]
    assert "data" in x
    assert y["parameters"]["binary_data_size"] == FEATURES.nbytes


async def test_what_json_cannot_hold_is_the_callers_to_ask_otherwise(client: Client) -> None:
    message = wire.encode_request(wire.InferRequest([wire.Tensor.from_array("x", np.array([np.nan], np.float32))]))
    error = await refused(client, message.body(), message.headers)
    assert error.http_status == 400
    assert "binary_data" in str(error)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_bodies_are_unpacked(client: Client, encoding: str, pack: Any) -> None:
    message = wire.encode_request(request())
    status, body, _ = await infer(client, pack(message.body()), message.headers | {"Content-Encoding": encoding})
    assert status == 200
    assert json.loads(body)["outputs"][0]["shape"] == [2, 3]


@pytest.mark.parametrize("body", [bytes(LIMIT + 1), b"[" * (LIMIT + 1)])
async def test_too_many_bytes_are_413(client: Client, body: bytes) -> None:
    error = await refused(client, body)
    assert (error.code, error.http_status) == ("request_too_large", 413)
    assert error.details == {"limit_bytes": LIMIT}


async def test_a_body_of_no_stated_length_is_bounded_too(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1000)

    reply = await client.post("/v2/models/echo/infer", data=endless())
    assert reply.status == 413


async def test_a_small_body_that_unpacks_to_a_large_one_is_413(client: Client) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) > LIMIT  # the stated length is refused at once ...
    assert (await refused(client, bomb, {"Content-Encoding": "gzip"})).http_status == 413
    small = gzip.compress(bytes(LIMIT * 100))
    assert len(small) < LIMIT  # ... and the unpacked one as it grows
    assert (await refused(client, small, {"Content-Encoding": "gzip"})).http_status == 413


MALFORMED: list[tuple[bytes, dict[str, str]]] = [
    (b"", {}),
    (b"not json", {}),
    (b"[]", {}),
    (b"{}", {}),
    (b'{"inputs": 3}', {}),
    (b'{"inputs": []}', {}),
    (b'{"inputs": [{"name": "x"}]}', {}),
    (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": []}]}', {}),
    (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]}', {}),
    (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [NaN]}]}', {}),
    (b'{"inputs": [{"name": "x", "datatype": "FLOAT", "shape": [1], "data": [1]}]}', {}),
    (b"{}", {wire.HEADER_LENGTH: "nine"}),
    (b"{}", {wire.HEADER_LENGTH: "-1"}),
    (b"{}", {wire.HEADER_LENGTH: "900"}),
    (b"\x1f\x8b\x08broken", {"Content-Encoding": "gzip"}),
    (gzip.compress(b"{}", mtime=0)[:-9], {"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize(("body", "headers"), MALFORMED)
async def test_malformed_requests_are_400_and_the_daemon_goes_on(
    client: Client, caplog: pytest.LogCaptureFixture, body: bytes, headers: dict[str, str]
) -> None:
    error = await refused(client, body, headers)
    assert error.http_status == 400
    assert str(error)
    assert not caplog.records  # a stranger's nonsense is no news
    message = wire.encode_request(request())
    assert (await infer(client, message.body(), message.headers))[0] == 200


async def test_errors_of_the_plane_keep_code_status_and_details(client: Client, plane: Echo) -> None:
    plane.error = InvalidTensor("x has the wrong shape", {"tensor": "x"})
    message = wire.encode_request(request())
    error = await refused(client, message.body(), message.headers)
    assert isinstance(error, InvalidTensor)
    assert (str(error), error.details) == ("x has the wrong shape", {"tensor": "x"})


async def test_a_codec_error_is_the_tensors_fault(client: Client, plane: Echo) -> None:
    plane.error = CodecError("damaged")
    message = wire.encode_request(request())
    assert isinstance(await refused(client, message.body(), message.headers), InvalidTensor)


async def test_overload_says_when_to_come_back(client: Client, plane: Echo) -> None:
    plane.error = Overloaded("64 requests are waiting")
    message = wire.encode_request(request())
    status, _, headers = await infer(client, message.body(), message.headers)
    assert status == 503
    assert int(headers["Retry-After"]) >= 1


async def test_a_defect_is_logged_in_full_and_told_in_general(
    client: Client, plane: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    plane.error = RuntimeError("the secret path /root/x")
    message = wire.encode_request(request())
    with caplog.at_level(logging.ERROR, "collabd.http.error_replies"):
        status, body, _ = await infer(client, message.body(), message.headers)
    assert status == 500
    assert json.loads(body)["code"] == "internal_error"
    assert b"secret" not in body
    assert "the secret path" in caplog.text


async def test_cancellation_passes() -> None:
    async def cancelled(_: web.Request) -> web.StreamResponse:
        raise asyncio.CancelledError

    from aiohttp.test_utils import make_mocked_request

    with pytest.raises(asyncio.CancelledError):
        await error_middleware(make_mocked_request("GET", "/"), cancelled)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/v2/health/live", 405)])
async def test_wrong_paths_and_methods_have_the_wire_form(client: Client, method: str, path: str, status: int) -> None:
    reply = await client.request(method, path)
    body = await reply.json()
    assert reply.status == status
    assert body["code"] == "invalid_request"
    assert path in body["error"]
    if status == 405:
        assert "GET" in reply.headers["Allow"]


HEAD = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
QUICK = BodyPace(stalled_s=0.3, bytes_per_s=1e6)
Speaker = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def speaking(plane: Echo, **options: Any) -> AsyncIterator[Speaker]:
    """A bare connection to a server of its own."""
    app = web.Application(middlewares=[error_middleware])
    app.add_routes(protocol.routes(plane, LIMIT, **options))
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        yield reader, writer
        writer.close()


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def test_a_peer_that_sends_no_more_is_given_up(plane: Echo) -> None:
    async with speaking(plane, pace=QUICK) as (reader, writer):
        writer.write(HEAD % 100 + b"\r\n{")
        assert b" 408 " in await head(reader)


async def test_a_peer_that_sends_a_byte_now_and_then_is_given_up(plane: Echo) -> None:
    async def trickle() -> None:
        while True:
            writer.write(b"[")
            await asyncio.sleep(0.02)

    async with speaking(plane, pace=QUICK) as (reader, writer):
        writer.write(HEAD % LIMIT + b"\r\n")
        trickling = asyncio.create_task(trickle())
        answer = await head(reader)
        trickling.cancel()
        assert b" 408 " in answer


@pytest.mark.parametrize("kilobytes", [1, 50, 500])
def test_a_link_of_10_kbit_a_second_is_fast_enough(kilobytes: int) -> None:
    for received in range(0, kilobytes * 1000, 100):
        assert received / 1250 < NETWORK.most_s(received)


async def test_who_asks_first_is_told_when_its_body_is_read(plane: Echo) -> None:
    message = wire.encode_request(request())
    ask = HEAD % message.length + b"%b: %b\r\nExpect: 100-continue\r\n\r\n" % (
        wire.HEADER_LENGTH.encode(),
        message.headers[wire.HEADER_LENGTH].encode(),
    )
    async with speaking(plane) as (reader, writer):
        writer.write(ask)
        assert await head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(message.body())
        assert b" 200 " in await head(reader)


@asynccontextmanager
async def shut(_: web.Request) -> AsyncIterator[protocol.Infer]:
    raise Overloaded("full")
    yield


@pytest.mark.parametrize(("length", "status"), [(10, b" 503 "), (LIMIT + 1, b" 413 ")])
async def test_who_asks_first_is_refused_before_the_body(plane: Echo, length: int, status: bytes) -> None:
    async with speaking(plane, door=shut) as (reader, writer):
        writer.write(HEAD % length + b"Expect: 100-continue\r\n\r\n")
        answer = await head(reader)
        assert status in answer
        # It will not send the body, so that what follows could be taken for it.
        assert b"Connection: close" in answer


async def test_a_body_is_read_in_the_door_and_by_nobody_whom_it_refuses(plane: Echo) -> None:
    seen: list[bool] = []

    @asynccontextmanager
    async def door(request: web.Request) -> AsyncIterator[protocol.Infer]:
        seen.append(BODY in request)
        yield plane.infer
        seen.append(BODY in request)

    message = wire.encode_request(request())
    async with speaking(plane, door=door) as (reader, writer):
        writer.write(HEAD % message.length)
        writer.write(f"{wire.HEADER_LENGTH}: {message.headers[wire.HEADER_LENGTH]}\r\n\r\n".encode())
        writer.write(message.body())
        assert b" 200 " in await head(reader)
    assert seen == [False, True]


async def test_long_json_of_one_keeps_nobody_else_waiting(
    client: Client, plane: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, free = threading.Event(), threading.Event()
    decode = wire.decode_request

    def slow(body: bytearray, header_length: int | None) -> wire.InferRequest:
        if len(body) > 1000:
            began.set()
            assert free.wait(20)
        return decode(body, header_length)

    monkeypatch.setattr(protocol, "_QUICK_JSON_BYTES", 1000)
    monkeypatch.setattr(wire, "decode_request", slow)
    tensor = {"name": "x", "datatype": "FP32", "shape": [500], "data": [1.5] * 500}
    long = asyncio.create_task(infer(client, json.dumps({"inputs": [tensor]}).encode()))
    await asyncio.to_thread(began.wait, 20)
    message = wire.encode_request(request())
    assert (await infer(client, message.body(), message.headers))[0] == 200
    assert not long.done()
    free.set()
    assert (await long)[0] == 200
