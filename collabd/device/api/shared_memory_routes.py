"""The paths of the system shared memory extension."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import msgspec
from aiohttp import web

from collab_sdk.errors import InvalidRequest, PermissionRefused
from collabd.device.api.local_peers import head_of
from collabd.device.api.permissions import PeerKind, case_of
from collabd.device.api.shared_memory import Region, SharedMemory
from collabd.http.bodies import LOCAL, read_body, when_read
from collabd.http.peers import credentials
from collabd.http.plain import RequestHead

_MAX_JSON = 4096


class _RegisterRequest(msgspec.Struct):
    key: str
    byte_size: int
    offset: int = 0


class SharedMemoryRoutes:
    """Answers under /v2/systemsharedmemory/. `user_of`: whose regions a request is about."""

    def __init__(self, memory: SharedMemory, user_of: Callable[[RequestHead], Hashable]) -> None:
        self._memory = memory
        self._user_of = user_of

    def routes(self) -> list[web.RouteDef]:
        """The paths, with their handlers."""
        region = "/v2/systemsharedmemory/region/{name}"
        return [
            web.get("/v2/systemsharedmemory/status", self._status),
            web.get(f"{region}/status", self._status),
            web.post(f"{region}/register", self._register, expect_handler=when_read),
            web.post(f"{region}/unregister", self._unregister),
            web.post("/v2/systemsharedmemory/unregister", self._unregister),
        ]

    async def _status(self, request: web.Request) -> web.Response:
        """The caller's regions, or the one that is named."""
        return web.json_response(self._memory.status(self._user(request), request.match_info.get("name")))

    async def _register(self, request: web.Request) -> web.Response:
        """Register a file in /dev/shm as a region of the caller's."""
        body = await read_body(request, _MAX_JSON, LOCAL)
        try:
            asked = msgspec.json.decode(body, type=_RegisterRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                f'the body must be {{"key": "/name", "offset": 0, "byte_size": 1}}: {error}'
            ) from error
        peer = credentials(request.transport)
        if peer is None or case_of(peer, None, own_uid=-1) == PeerKind.UNKNOWN:
            raise PermissionRefused("the kernel does not say who you are, so no shared memory can be yours")
        region = Region(name=request.match_info["name"], key=asked.key, offset=asked.offset, byte_size=asked.byte_size)
        self._memory.register(self._user(request), peer, region)
        return web.json_response({})

    async def _unregister(self, request: web.Request) -> web.Response:
        """Forget a region of the caller's, or all of them."""
        self._memory.unregister(self._user(request), request.match_info.get("name"))
        return web.json_response({})

    def _user(self, request: web.Request) -> Hashable:
        return self._user_of(head_of(request, _MAX_JSON))
