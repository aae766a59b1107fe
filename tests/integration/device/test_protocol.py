"""The Open Inference Protocol as its other clients speak it: both daemons answer and refuse alike."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest

from collab_sdk import wire
from collab_sdk.wire import InferRequest, RequestedOutput, Tensor
from tests.integration.device.conftest import Factory

Post = Callable[..., Awaitable[tuple[int, Any]]]


@asynccontextmanager
async def asking(bench: Factory, daemon: str) -> AsyncIterator[tuple[Post, dict[str, Any]]]:
    """Posts JSON to one of the two, and its model's metadata."""
    async with bench(cloud=daemon == "companion") as it:
        address = it.daemon._plane.generation.companions[0].cloud.url if daemon == "companion" else "http://collabd"
        connector = aiohttp.TCPConnector() if daemon == "companion" else aiohttp.UnixConnector(str(it.socket))
        async with aiohttp.ClientSession(address, connector=connector) as session:
            image = {"name": "image", "datatype": "UINT8", "shape": list(it.images[0].shape)}
            image["data"] = it.images[0].ravel().tolist()

            async def post(
                path: str = "/v2/models/tiny/infer", headers: dict[str, str] | None = None, **asked: Any
            ) -> tuple[int, Any]:
                body = json.dumps({"inputs": [image]} | asked)
                async with session.post(path, data=body, headers=headers) as reply:
                    return reply.status, await reply.json()

            async with session.get("/v2/models/tiny") as reply:
                metadata = await reply.json()
            yield post, metadata


both = pytest.mark.parametrize("daemon", ["device", "companion"])


@both
async def test_outputs_are_those_of_the_metadata(bench: Factory, daemon: str) -> None:
    async with asking(bench, daemon) as (post, metadata):
        (stated,) = metadata["outputs"]
        for asked in ({}, {"outputs": [{"name": stated["name"]}]}):
            status, answer = await post("/v2/models/tiny/versions/1/infer", id="7", **asked)
            (output,) = answer["outputs"]
            assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "7", "tiny", "1")
            assert (output["name"], output["datatype"]) == (stated["name"], stated["datatype"])
            fits = zip(output["shape"], stated["shape"], strict=True)
            assert all(wanted in {size, -1} for size, wanted in fits)
        status, refused = await post(outputs=[{"name": "nope"}])
        assert (status, refused["code"]) == (400, "invalid_tensor")
        assert stated["name"] in refused["error"]
        status, _ = await post(outputs=[{"name": stated["name"]}] * 2)
        assert status == 400
        assert (await post("/v2/models/tiny/versions/2/infer"))[0] == 404


async def test_a_budget_that_is_a_number_is_a_cost(bench: Factory) -> None:
    async with asking(bench, "device") as (post, _):
        status, answer = await post(parameters={"budget": 0.5})
        assert (status, answer["parameters"]["budget_met"]) == (200, True)
        assert (await post(parameters={"budget": "0.5"}))[0] == 400


@both
async def test_what_other_clients_add_is_ignored_and_slips_are_not(bench: Factory, daemon: str) -> None:
    foreign: dict[str, Any] = {
        "priority": 1,
        "sequence_id": 5,
        "sequence_start": True,
        "sequence_end": False,
        "timeout": 10_000_000,
    }
    foreign |= {"headers": {"x": ["y"]}, "triton_enable_empty_final_response": True, "content_type": None}
    slip = {"device": "bugdet", "companion": "digset"}[daemon]
    async with asking(bench, daemon) as (post, _):
        status, answer = await post(parameters=foreign)
        assert (status, answer["parameters"].get("budget_met", True)) == (200, True)
        for parameters, says in (({slip: "x"}, slip), ({"timeout": "1s"}, "timeout"), ({"binary_data_output": 1}, "")):
            status, refused = await post(parameters=parameters)
            assert (status, refused["code"]) == (400, "invalid_request")
            assert says in refused["error"]


@both
async def test_a_classification_is_the_best_in_order(bench: Factory, daemon: str) -> None:
    async with asking(bench, daemon) as (post, metadata):
        name, labels = metadata["outputs"][0]["name"], metadata["parameters"]["labels"]
        scores = np.array((await post())[1]["outputs"][0]["data"])
        status, answer = await post(outputs=[{"name": name, "parameters": {"classification": 2}}])
        (output,) = answer["outputs"]
        assert (status, output["name"], output["datatype"], output["shape"]) == (200, name, "BYTES", [1, 2])
        best = np.argsort(-scores, kind="stable")[:2]
        assert [each.split(":")[1:] for each in output["data"]] == [[str(i), labels[i]] for i in best]
        np.testing.assert_allclose([float(each.split(":")[0]) for each in output["data"]], scores[best], atol=1e-5)


async def test_a_classification_in_binary(bench: Factory) -> None:
    async with bench(cloud=False) as it:
        wanted = [RequestedOutput("scores", {"classification": 1, "binary_data": True})]
        message = wire.encode_request(InferRequest([Tensor.from_array("image", it.images[0])], outputs=wanted))
        connector = aiohttp.UnixConnector(str(it.socket))
        async with (
            aiohttp.ClientSession("http://collabd", connector=connector) as session,
            session.post("/v2/models/tiny/infer", data=message.body(), headers=message.headers) as reply,
        ):
            answer = wire.decode_response(await reply.read(), wire.header_length(reply.headers))
        (said,) = answer.outputs[0].to_bytes_list()
        assert said.decode().split(":")[2] == (await it.client.infer(it.images[0])).label


async def test_a_timeout_is_a_cap_on_the_latency(bench: Factory) -> None:
    async with asking(bench, "device") as (post, _):
        status, answer = await post(parameters={"timeout": 1, "budget": "10s"})
        assert (status, answer["parameters"]["unmet"]) == (200, "latency")


async def test_what_the_caller_has_waited_before_is_part_of_the_latency(bench: Factory) -> None:
    async with asking(bench, "device") as (post, _):
        status, answer = await post(headers={wire.WAITED_MS: "5000.25"}, parameters={"budget": "4s"})
        assert (status, answer["parameters"]["unmet"]) == (200, "latency")
        assert 5000.25 <= answer["parameters"]["measured.latency_ms"] < 10_000
        assert answer["parameters"]["measured.head_ms"] < 4000
        status, answer = await post(parameters={"budget": "4s"})
        assert (status, answer["parameters"]["budget_met"]) == (200, True)
        for odd in ("soon", "-1", "nan", "1e12", "inf"):
            status, refused = await post(headers={wire.WAITED_MS: odd})
            assert (status, refused["code"]) == (400, "invalid_request")
