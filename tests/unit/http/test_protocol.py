"""The protocol's HTTP adapter, in front of a data plane that echoes."""

import asyncio
import gzip
import json
import threading

import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.errors import UnknownModel
from tests.patience import PATIENCE_S
from tests.unit.http.conftest import FEATURES, Client, Echo, infer, refused, request, served


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


async def test_long_json_of_one_keeps_nobody_else_waiting(plane: Echo) -> None:
    began, free = threading.Event(), threading.Event()

    def slow(body: bytearray, header_length: int | None) -> wire.InferRequest:
        if len(body) > 300_000:
            began.set()
            assert free.wait(PATIENCE_S)
        return wire.decode_request(body, header_length)

    tensor = {"name": "x", "datatype": "FP32", "shape": [70_000], "data": [1.5] * 70_000}
    async with served(plane, 1_000_000, decode=slow) as client:
        long = asyncio.create_task(infer(client, json.dumps({"inputs": [tensor]}).encode()))
        await asyncio.to_thread(began.wait, PATIENCE_S)
        message = wire.encode_request(request())
        assert (await infer(client, message.body(), message.headers))[0] == 200
        assert not long.done()
        free.set()
        assert (await long)[0] == 200


async def test_large_tensors_become_json_in_the_thread_of_long_json(plane: Echo) -> None:
    began, free = threading.Event(), threading.Event()

    def slow(body: bytearray, header_length: int | None) -> wire.InferRequest:
        if header_length is None and len(body) > 300_000:
            began.set()
            assert free.wait(PATIENCE_S)
        return wire.decode_request(body, header_length)

    large = wire.encode_request(wire.InferRequest([wire.Tensor.from_array("x", np.arange(5000, dtype=np.float32))]))
    tensor = {"name": "x", "datatype": "FP32", "shape": [70_000], "data": [1.5] * 70_000}
    async with served(plane, 1_000_000, decode=slow) as client:
        long = asyncio.create_task(infer(client, json.dumps({"inputs": [tensor]}).encode()))
        await asyncio.to_thread(began.wait, PATIENCE_S)
        waiting = asyncio.create_task(infer(client, large.body(), large.headers))
        small, as_bytes = (wire.encode_request(each) for each in (request(), request(binary_data_output=True)))
        for message in (small, as_bytes):
            assert (await infer(client, message.body(), message.headers))[0] == 200
        assert not waiting.done()
        free.set()
        assert json.loads((await waiting)[1])["outputs"][0]["data"] == list(range(5000))
        assert (await long)[0] == 200
