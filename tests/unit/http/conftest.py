"""The protocol in front of a data plane that echoes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collab_sdk import wire
from collab_sdk.errors import CollabError, UnknownModel
from collab_sdk.result import MODEL_VERSION
from collabd.http.error_replies import error_middleware
from collabd.http.protocol import InferenceProtocol

LIMIT = 10_000
FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


class Echo:
    """Answers with its inputs, or with the error it was given."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.is_ready = True
        self.asked: wire.InferRequest | None = None
        self.away: dict[str, str] = {}

    def ready(self) -> bool:
        return self.is_ready

    def server_metadata(self) -> dict[str, Any]:
        return {"name": "echo", "version": "1"}

    def models(self) -> list[str]:
        return ["echo"]

    def model_ready(self, name: str) -> bool:
        self._known(name)
        return self.is_ready

    def model_metadata(self, name: str) -> dict[str, Any]:
        self._known(name)
        return {"platform": "none", "inputs": [], "outputs": []}

    def model_config(self, name: str) -> dict[str, Any]:
        self._known(name)
        return {"name": name, "max_batch_size": 0, "input": [], "output": []}

    def statistics(self, name: str | None) -> list[dict[str, Any]]:
        self._known(name or "echo")
        return [{"name": "echo"}]

    def unloaded(self) -> dict[str, str]:
        return self.away

    async def load(self, name: str) -> None:
        self._known(name)
        self.away.pop(name, None)

    async def unload(self, name: str) -> None:
        self._known(name)
        self.away[name] = "unloaded"

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


@asynccontextmanager
async def served(plane: Echo, limit: int, **settings: Any) -> AsyncIterator[Client]:
    """A client of the protocol in front of `plane`; `settings` are those of `InferenceProtocol`."""
    app = web.Application(middlewares=[error_middleware])
    app.add_routes(InferenceProtocol(plane, limit, **settings).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def client(plane: Echo) -> AsyncIterator[Client]:
    async with served(plane, LIMIT) as client:
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
