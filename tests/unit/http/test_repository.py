"""The model repository, the configuration and the statistics of the protocol, in front of a data plane that echoes."""

from __future__ import annotations

from typing import Any

import pytest

from collabd.http.statistics import ModelStatistics
from tests.unit.http.conftest import Client, Echo


async def post(client: Client, path: str, body: bytes = b"") -> tuple[int, Any]:
    async with client.post(path, data=body) as reply:
        text = await reply.text()
        return reply.status, await reply.json() if text else None


async def test_the_index_can_leave_out_what_is_unloaded(client: Client, plane: Echo) -> None:
    assert await post(client, "/v2/repository/models/echo/unload", b'{"parameters": {"unload_dependents": true}}') == (
        200,
        None,
    )
    plane.away["other"] = "unloaded"
    status, index = await post(client, "/v2/repository/index")
    assert status == 200
    assert [(each["name"], each["reason"]) for each in index] == [("echo", "unloaded"), ("other", "unloaded")]
    status, index = await post(client, "/v2/repository/index", b'{"ready": true}')
    assert [each["name"] for each in index] == ["echo"]
    assert (await post(client, "/v2/repository/models/echo/load"))[0] == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready": 1}', b"\xff"])
async def test_an_index_of_something_else_is_refused(client: Client, body: bytes) -> None:
    status, answer = await post(client, "/v2/repository/index", body)
    assert status == 400
    assert 'the body must be empty or {"ready": true}' in answer["error"]


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx"])
async def test_a_model_is_not_loaded_otherwise_than_its_package_says(client: Client, parameter: str) -> None:
    body = b'{"parameters": {"%b": "x"}}' % parameter.encode()
    status, answer = await post(client, "/v2/repository/models/echo/load", body)
    assert (status, answer["code"]) == (400, "invalid_request")
    assert f"without {parameter}" in answer["error"]


async def test_what_is_not_known_is_not_found(client: Client) -> None:
    for path in ("/v2/models/none/config", "/v2/models/none/stats", "/v2/models/echo/versions/2/config"):
        async with client.get(path) as reply:
            assert reply.status == 404
    assert (await post(client, "/v2/repository/models/none/load"))[0] == 404
    for path in ("/v2/models/echo/config", "/v2/models/echo/versions/1/stats", "/v2/models/stats"):
        async with client.get(path) as reply:
            assert reply.status == 200


async def test_what_is_refused_is_refused_with_any_method(client: Client) -> None:
    for method in ("GET", "POST"):
        async with client.request(method, "/v2/systemsharedmemory/region/a/register") as reply:
            assert reply.status == 400
            assert "Unix socket" in (await reply.json())["error"]


def test_the_phases_of_answers_add_up() -> None:
    statistics = ModelStatistics()
    statistics.answered(0.5, input_s=0.125, infer_s=0.25, output_s=0.0625)
    statistics.answered(0.5, input_s=0.5, infer_s=0.25, output_s=0.0)
    statistics.failed(0.25)
    said = statistics.report("net")
    taken = {name: (each["count"], each["ns"]) for name, each in said["inference_stats"].items()}
    assert taken == {
        "success": (2, 10**9),
        "fail": (1, 25 * 10**7),
        # Phases that ran at the same time are longer than the whole, and then nothing waited.
        "queue": (2, 62_500_000),
        "compute_input": (2, 625_000_000),
        "compute_infer": (2, 500_000_000),
        "compute_output": (2, 62_500_000),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    assert (said["name"], said["version"], said["inference_count"], said["execution_count"]) == ("net", "1", 2, 2)
