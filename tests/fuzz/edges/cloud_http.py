"""The companion's port: raw bytes to the running daemon."""

from __future__ import annotations

import socket
import struct
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from collabd.cloud.server import CloudDaemon, running
from collabd.config import CloudConfig, Loaded
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.fuzz import tiny
from tests.fuzz.edges import intake
from tests.fuzz.quiet import WorkerOnTheSpot
from tests.fuzz.scratch import new_directory
from tests.fuzz.served import WORDS as HTTP
from tests.fuzz.served import Served, requests

WORDS = (*HTTP, *intake.WORDS, "/collab/v1/packages/sha256:", "/collab/v1/ping", "/collab/v1/profile/")
# Abort connections at once: connections that are closing would use up the ports.
_ABORT = struct.pack("ii", 1, 0)


@cache
def _served() -> Served:
    home = new_directory("cloud")
    settings = {
        "server": {"port": 0, "max_request_mb": 1},
        "models": {"roots": [f"{home}/models", str(tiny.package().path.parent)]},
        "engine": {"threads": 1},
        "packages": {"max_mb": 1},
        "state_dir": str(home),
    }

    def start() -> AbstractAsyncContextManager[Any]:
        return running(
            Loaded(msgspec.convert(settings, CloudConfig), None), machine=SHOWS_NOTHING, new_worker=WorkerOnTheSpot
        )

    def connect(cloud: CloudDaemon) -> socket.socket:
        address = urlsplit(cloud.address)
        peer = socket.create_connection((address.hostname, address.port))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        return peer

    return Served(start, connect)


def check(data: bytes) -> None:
    """As `Served.check`."""
    _served().check(data)


def seeds() -> list[bytes]:
    """The device's calls, and others."""
    own = (
        b"GET /collab/v1/packages\n\n\n",
        b"GET /collab/v1/profile/sha256:0\n\n\n",
        b"POST /collab/v1/ping\n\n\n1234",
        b"PUT /collab/v1/packages/sha256:" + b"0" * 64 + b"\n\n\n" + bytes(1024),
    )
    return [*requests(*intake.seeds()), *(b"\1" + each for each in own)]
