"""How failures leave, of the plane, of aiohttp and of the daemon itself."""

import asyncio
import json
import logging

import pytest
from aiohttp import web

from collab_sdk import wire
from collab_sdk.errors import InvalidTensor, Overloaded
from collabd.codec import CodecError
from collabd.http.error_replies import error_middleware
from tests.unit.http.conftest import Client, Echo, infer, refused, request


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
