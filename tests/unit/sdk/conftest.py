"""A little daemon: a real HTTP server on a real Unix socket that speaks the protocol, and breaks off when told to."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import settings

from collab_sdk import wire
from collab_sdk.errors import CollabError
from collab_sdk.result import Plan, Predicted, Result, Timings, encode_result

# A busy machine must not fail a test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LABELS = ("cat", "dog", "ship")


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Any
    body: bytes = field(repr=False)

    def infer(self) -> wire.InferRequest:
        return wire.decode_request(self.body, wire.header_length(self.headers))


@dataclass
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class _BreakOff(Exception):
    """The connection ends instead of an answer."""


class LittleDaemon:
    """``script`` maps a request to an `Answer` or a `CollabError`; ``asked`` is what came, ``connections`` how many."""

    def __init__(self, path: Path, script: Callable[[Asked], Answer]) -> None:
        self.path = path
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.beside_errors: dict[str, str] = {}
        self._open: set[socket.socket] = set()
        self.start()

    def start(self) -> None:
        self._server = socketserver.ThreadingUnixStreamServer(str(self.path), handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self.path.unlink()
        self.hang_up()
        self._server.server_close()

    def hang_up(self) -> None:
        """Close every connection, as a daemon does with those that idle."""
        for connection in list(self._open):
            connection.shutdown(socket.SHUT_RDWR)

    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def answer_with(self, result: Result) -> Callable[[Asked], Answer]:
        return answer_as(result)

    def json(self, value: Any, status: int = 200) -> Answer:
        return Answer(json.dumps(value).encode(), status)

    def raw(self, body: bytes, status: int = 200) -> Answer:
        return Answer(body, status)

    def break_off(self) -> NoReturn:
        """For scripts: end the connection instead of answering."""
        raise _BreakOff


def handler(daemon: LittleDaemon) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            daemon.connections += 1
            daemon._open.add(self.connection)

        def finish(self) -> None:
            daemon._open.discard(self.connection)
            super().finish()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.command, self.path, self.headers, body)
            daemon.asked.append(asked)
            try:
                answer = daemon.script(asked)
            except CollabError as error:
                answer = Answer(wire.encode_error(error), error.http_status, daemon.beside_errors)
            except _BreakOff:
                self.close_connection = True
                return
            with suppress(ConnectionError):  # who asked has hung up
                self.send_response(answer.status)
                for name, value in (answer.headers | {"Content-Length": str(len(answer.body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

    return Handler


def a_result(**changes: Any) -> Result:
    """A result with every part filled in."""
    parts: dict[str, Any] = {
        "model": "net",
        "digest": "sha256:1",
        "scores": np.array([0.25, 0.5, 0.25], np.float32),
        "labels": LABELS,
        "plan": Plan("pool2", "q8", "DDC", "pc", "fastest in budget"),
        "predicted": Predicted(latency_ms=12.5, head_ms=3.0, energy_mj=31.0, cost=0.001),
        "measured": Timings(latency_ms=13, queue_ms=0.0, tail_ms=2.25),
        "energy_mj": 30.5,
        "energy_source": "modelled",
        "cost": 0.002,
        "fidelity": 0.995,
        "bytes_up": 955,
        "bytes_down": 60,
        "budget_met": False,
        "unmet": ("latency", "cost"),
        "degraded": True,
        "why": "pc timed out, the device ran the tail",
        "ran": "DDD",
    }
    return Result(**(parts | changes))


def answer_as(result: Result) -> Callable[[Asked], Answer]:
    """A script that answers every inference with this result, and its model's metadata."""

    def script(asked: Asked) -> Answer:
        if asked.path.endswith("/infer"):
            message = wire.encode_response(encode_result(result), asked.infer().wants_binary)
            return Answer(message.body(), headers=message.headers)
        assert asked.path == f"/v2/models/{result.model}"
        parameters = {"digest": result.digest, "labels": list(result.labels)}
        return Answer(json.dumps({"name": result.model, "parameters": parameters}).encode())

    return script


@pytest.fixture
def result() -> Result:
    return a_result()


@pytest.fixture
def changed() -> Callable[..., Result]:
    """Makes the fixture's result with changes."""
    return a_result


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[LittleDaemon]:
    little = LittleDaemon(tmp_path / "sock", answer_as(a_result()))
    yield little
    little.stop()
