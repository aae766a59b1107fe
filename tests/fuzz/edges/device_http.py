"""The device daemon's socket: raw bytes to the running daemon."""

from __future__ import annotations

import socket
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from collabd.config import DeviceConfig, load
from collabd.device.server import running
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.fuzz import tiny
from tests.fuzz.edges import request
from tests.fuzz.quiet import OnTheSpot
from tests.fuzz.scratch import new_directory
from tests.fuzz.served import WORDS as HTTP
from tests.fuzz.served import Served, requests

WORDS = (
    *HTTP,
    *request.WORDS,
    *("/v2/systemsharedmemory/region/", "/register", "/unregister", "/status", "key", "offset", "byte_size"),
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"),
)
_FRAME = b'{"name": "image", "datatype": "UINT8", "shape": [1, 1, 3], "parameters": {"shared_memory_region": "r", '


@cache
def _served() -> Served:
    home = new_directory("device")
    path, settings = home / "collabd.sock", home / "collabd.toml"
    # The daemon may not remove a package from this place, so each input finds the same daemon.
    settings.write_text(
        f'state_dir = "{home}"\n[server]\nsocket = "{path}"\nmax_request_mb = 1\n[engine]\nthreads = 1\n'
        f'[models]\nroots = ["{home}/models", "{tiny.package().path.parent}"]\n'
    )

    def start() -> AbstractAsyncContextManager[Any]:
        return running(load(DeviceConfig, settings), SHOWS_NOTHING, thread_of=OnTheSpot)

    def connect(_: Any) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(str(path))
        return peer

    return Served(start, connect)


def check(data: bytes) -> None:
    """As `Served.check`."""
    _served().check(data)


def seeds() -> list[bytes]:
    """The SDK's calls, and others."""
    own = (
        *(b"GET /collab/v1/explain?last=3\n\n\n", b"GET /collab/v1/profile/tiny?budget=80ms\n\n\n"),
        *(b"GET /v2/models/tiny/config\n\n\n", b"GET /v2/models/stats\n\n\n", b"GET /v2/trace/setting\n\n\n"),
        b'POST /v2/repository/index\n\n\n{"ready": true}',
        b'POST /v2/repository/models/tiny/load\n\n\n{"parameters": {"config": "{}"}}',
        *(b'POST /collab/v1/models\n\n\n{"path": "/nowhere"}', b"DELETE /collab/v1/models/tiny\n\n\n"),
    )
    shared = (
        b'POST /v2/systemsharedmemory/region/r/register\n\n\n{"key": "/none", "offset": 0, "byte_size": 3}',
        b"GET /v2/systemsharedmemory/status\n\n\n",
        b"POST /v2/systemsharedmemory/region/r/unregister\n\n\n",
        b'POST /v2/models/tiny/infer\n\n\n{"inputs": [' + _FRAME + b'"shared_memory_byte_size": 3}}]}',
    )
    return [*requests(*request.seeds()), *(b"\1" + each for each in (*own, *shared))]
