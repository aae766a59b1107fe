"""The model repository extension of the Open Inference Protocol: which models there are, loading and unloading them.

Nobody is refused here: what stands before these paths says who may administer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from collab_sdk.errors import InvalidRequest
from collab_sdk.result import MODEL_VERSION
from collabd.http.bodies import NETWORK, BodyPace, read_body, when_read

# The paths that change which models are loaded begin with this.
ADMINISTERED = "/v2/repository/models/"
# Said of the extension in `GET /v2` where its requests can succeed.
EXTENSION = "model_repository"
# A client may send a whole model along, which is refused in words; so it is read up to here.
_MAX_JSON = 2**20
_INDEX = '{"ready": true}'
_LOAD = '{"parameters": {}}'


class Repository(Protocol):
    """The models of a daemon. Methods raise `CollabError`."""

    def models(self) -> list[str]:
        """Names of the models that answer calls, or will soon."""

    def model_ready(self, name: str) -> bool:
        """Whether the model serves now. Raises `UnknownModel`."""

    def unloaded(self) -> Mapping[str, str]:
        """Models that answer no call until they are loaded, by name, and why."""

    async def load(self, name: str) -> None:
        """Read the package of this name again, and serve it. Raises `UnknownModel`, `InvalidPackage`."""

    async def unload(self, name: str) -> None:
        """Answer no more calls with this model; those under way end with it. Raises `UnknownModel`."""


class _IndexRequest(msgspec.Struct):
    ready: bool = False


class _ChangeRequest(msgspec.Struct):
    parameters: dict[str, Any] = {}


_T = TypeVar("_T", bound=msgspec.Struct)


class RepositoryRoutes:
    """Answers under /v2/repository/."""

    def __init__(self, repository: Repository, pace: BodyPace = NETWORK) -> None:
        self._repository = repository
        self._pace = pace

    def routes(self) -> list[web.RouteDef]:
        """The paths, with their handlers."""
        return [
            web.get("/v2/repository/index", self._index),
            web.post("/v2/repository/index", self._index, expect_handler=when_read),
            web.post(f"{ADMINISTERED}{{name}}/load", self._load, expect_handler=when_read),
            web.post(f"{ADMINISTERED}{{name}}/unload", self._unload, expect_handler=when_read),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        """The models that there are; `{"ready": true}` leaves out those that answer no calls."""
        asked = await self._asked(request, _IndexRequest, _INDEX)
        repository = self._repository
        ready = {name: repository.model_ready(name) for name in repository.models()}
        reasons = dict.fromkeys(ready, "") | dict(repository.unloaded())
        entries = [
            {
                "name": name,
                "version": MODEL_VERSION,
                "state": "READY" if ready.get(name) else "UNAVAILABLE",
                "reason": reason,
            }
            for name, reason in sorted(reasons.items())
        ]
        return web.json_response([each for each in entries if each["state"] == "READY" or not asked.ready])

    async def _load(self, request: web.Request) -> web.Response:
        """Read the package of a model again, and serve it. For administrators."""
        asked = await self._asked(request, _ChangeRequest, _LOAD)
        if asked.parameters:
            given = ", ".join(sorted(asked.parameters))[:80]
            raise InvalidRequest(
                f"a model is loaded as its package says, without {given}: make a package of it with collabctl models "
                "add, and load it then by its name"
            )
        await self._repository.load(request.match_info["name"])
        return web.Response()

    async def _unload(self, request: web.Request) -> web.Response:
        """Let a model answer no more calls, and free its memory. For administrators."""
        # `unload_dependents` is the only parameter there is, and no model here depends on another.
        await self._asked(request, _ChangeRequest, _LOAD)
        await self._repository.unload(request.match_info["name"])
        return web.Response()

    async def _asked(self, request: web.Request, kind: type[_T], form: str) -> _T:
        """The body, which may be empty. Raises `InvalidRequest`."""
        body = await read_body(request, _MAX_JSON, self._pace)
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"the body must be empty or {form}: {error}") from error
