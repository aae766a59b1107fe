"""What a companion replies, as the device reads it: answers, pings and profiles, over HTTP as it comes."""

from __future__ import annotations

import asyncio
import math
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import msgspec
import numpy as np

from collab_sdk import wire
from collab_sdk.errors import UnknownPackage
from collab_sdk.wire import InferResponse, Tensor
from collabd.device.companions.answers import Question, RemoteAnswer
from collabd.device.companions.companion import Companion
from collabd.device.companions.connection import Address, CompanionConnection
from collabd.device.companions.connections import Connections
from collabd.device.companions.failures import CompanionFailure
from collabd.device.companions.package_supply import PackageSupply
from collabd.device.models.model import DeviceModel
from collabd.device.run.features import read_outputs
from tests.device_parts import companion_at
from tests.fuzz import message, tiny
from tests.fuzz.choices import Choices
from tests.fuzz.edges.profile import plannable
from tests.fuzz.quiet import QuietLoop
from tests.fuzz.scratch import new_directory

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
STATUSES = (200, 404, 503, 400, 500, 202, 204, 301, 101)
WORDS = (
    *("HTTP/1.1 200 OK\r\n", "Content-Length: ", "Transfer-Encoding: chunked\r\n\r\n", "Content-Encoding: deflate"),
    *("queue_ms", "decode_ms", "compute_ms", "batch", "slowdown", "load", "outputs", "logits", "FP32"),
    *('"nan"', '"inf"', "1e400"),
)


def check(data: bytes) -> None:
    """`CompanionFailure`, or figures that planning can reckon with."""
    _device().check(data)


@cache
def _device() -> _Device:
    return _Device()


class _Device:
    """A device with one companion, whose replies are set in advance."""

    def __init__(self) -> None:
        self._loop = QuietLoop()
        asyncio.set_event_loop(self._loop)
        self._reply = _Reply(Choices(b""))
        self._socket = str(new_directory("companion") / "socket")
        self._loop.run(self._open())

    async def _open(self) -> None:
        self._server = await asyncio.start_unix_server(self._answer, self._socket)

    async def _connected(self, _: Address) -> CompanionConnection:
        link = socket.socket(socket.AF_UNIX)
        link.setblocking(False)
        await self._loop.sock_connect(link, self._socket)
        return (await self._loop.create_unix_connection(partial(CompanionConnection, link), sock=link))[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        writer.write(self._reply.to(body))
        writer.close()

    def check(self, data: bytes) -> None:
        choices = Choices(data)
        ask: Callable[[Companion], Awaitable[Any]] = choices.pick((_infer, _ping, _learn_profile))
        self._reply = _Reply(choices)
        self._loop.run(self._asked(ask))

    async def _asked(self, ask: Callable[[Companion], Awaitable[Any]]) -> None:
        async with Connections(self._connected) as connections:
            companion = companion_at("http://pc", connections)
            companion.reached = True
            try:
                answer = await ask(companion)
            except CompanionFailure as failure:
                companion.note_failure(failure)
            else:
                _check_answer(answer)
            _check_state(companion)


class _Reply:
    """Raw, or a body with headers that fit it."""

    def __init__(self, choices: Choices) -> None:
        self._raw, self._status = choices.pick((False, True)), choices.pick(STATUSES)
        self._content = choices.rest()

    def to(self, request: bytes) -> bytes:
        if self._raw:
            return self._content
        headers, body = message.split(self._content)
        told = headers | {wire.CHECKSUM: wire.checksum(body), wire.REQUEST_CHECKSUM: wire.checksum(request)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"HTTP/1.1 {self._status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


async def _infer(companion: Companion) -> RemoteAnswer:
    return await companion.infer(_question())


@cache
def _question() -> Question:
    relu, wanted = Tensor.from_array("relu", np.ones((1, 4, 6, 6), np.float32)), ("logits",)
    model = DeviceModel(tiny.package(), tiny.package().networks())
    return Question(
        model="tiny",
        digest=tiny.package().digest,
        inputs=[relu],
        outputs=wanted,
        bytes_down=8,
        read=partial(read_outputs, model, wanted),
    )


async def _ping(companion: Companion) -> None:
    await companion.ping(0)
    await companion.ping(400)


async def _learn_profile(companion: Companion) -> None:
    await PackageSupply(companion, lambda: [tiny.package()]).learn()
    if (profile := companion.profiles.get(tiny.package().digest)) is not None:
        plannable(tiny.profile(), profile)


def _check_answer(answer: RemoteAnswer | None) -> None:
    if answer is not None:
        for seconds in (answer.link_s, answer.queue_s, answer.decode_s, answer.compute_s):
            assert 0 <= seconds < math.inf
        assert answer.batch >= 1


def _check_state(companion: Companion) -> None:
    state = companion.state_for(tiny.package().digest)
    figures = asdict(state) | {"unasked_s": 0.0}  # for ever, before the first call
    assert all(math.isfinite(value) for value in figures.values() if isinstance(value, float))
    assert companion.load is None or math.isfinite(companion.load)


def seeds() -> list[bytes]:
    """What a companion says when it is well, and when it is not."""
    times = {"queue_ms": 0, "decode_ms": 0, "compute_ms": 0, "batch": 1}
    figures: dict[str, Any] = times | {"slowdown": 1.0, "load": 0.5, "digest": tiny.package().digest}
    answer = InferResponse(
        "tiny", "1", [Tensor.from_array("logits", np.ones((1, 2), np.float32))], id="", parameters=figures
    )
    error = wire.encode_error(UnknownPackage("no package", {"queue": 4}))
    ping = b'\n{"bytes": 0, "load": 0.25, "slowdown": 1.5}'
    bodies = [
        b"\0\0\0" + message.joined(wire.encode_response(answer, binary=True)),
        b"\0\0\1\n" + error,
        b"\1\0\0" + ping,
        b"\2\0\0\n" + msgspec.json.encode(tiny.profile()),
        b"\2\0\1\n" + error,
    ]
    asked = _question().message().body()
    return [*bodies, *(body[:1] + b"\1\0" + _Reply(Choices(body[1:])).to(asked) for body in bodies)]
