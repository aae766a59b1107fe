"""The man in the middle of `make chaos` lies about the content, and never in a checksum."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
from aiohttp import web

from collab_sdk import wire
from tests.chaos.mitm import Liar, nan_answers, nan_features, other_package

FEATURE = wire.Tensor.from_array("feature", np.ones((1, 2), np.float32))


@asynccontextmanager
async def liar_before_an_echo() -> AsyncIterator[Liar]:
    """A companion that answers with the tensors that it was sent."""

    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        asked = wire.decode_request(body, wire.header_length(request.headers))
        parameters = {"digest": asked.parameters["digest"]}
        reply = wire.encode_response(
            wire.InferResponse(request.match_info["name"], "1", asked.inputs, id="", parameters=parameters), binary=True
        )
        data = reply.body()
        checksums = {wire.CHECKSUM: wire.checksum(data), wire.REQUEST_CHECKSUM: wire.checksum(body)}
        return web.Response(body=data, headers=reply.headers | checksums)

    app = web.Application()
    app.router.add_post("/v2/models/{name}/infer", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Liar(runner.addresses[0][:2]) as liar:
            yield liar
    finally:
        await runner.cleanup()


async def ask(liar: Liar) -> wire.InferResponse:
    message = wire.encode_request(wire.InferRequest([FEATURE], parameters={"digest": "of one"}))
    url = "http://{}:{}/v2/models/one/infer".format(*liar.address)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=message.body(), headers=message.headers) as it,
    ):
        body = await it.read()
        assert it.headers[wire.CHECKSUM] == wire.checksum(body)
        assert it.headers[wire.REQUEST_CHECKSUM] == wire.checksum(message.body())
        return wire.decode_response(body, wire.header_length(it.headers))


async def test_without_a_lie_all_is_as_it_was() -> None:
    async with liar_before_an_echo() as liar:
        answer = await ask(liar)
    assert answer.parameters["digest"] == "of one"
    assert (answer.outputs[0].to_array() == 1).all()


async def test_features_become_nan() -> None:
    async with liar_before_an_echo() as liar:
        liar.lie(about_requests=nan_features)
        assert np.isnan((await ask(liar)).outputs[0].to_array()).all()


async def test_answers_become_nan() -> None:
    async with liar_before_an_echo() as liar:
        liar.lie(about_replies=nan_answers)
        assert np.isnan((await ask(liar)).outputs[0].to_array()).all()


async def test_another_network_answers() -> None:
    async with liar_before_an_echo() as liar:
        liar.lie(about_requests=other_package({"one": "of one", "two": "of two"}))
        answer = await ask(liar)
    assert (answer.model_name, answer.parameters["digest"]) == ("two", "of two")
