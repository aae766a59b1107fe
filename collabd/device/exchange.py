"""HTTP towards a companion: one exchange at a time, what went wrong with it, and what it says of the link."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from collab_sdk import wire
from collab_sdk.errors import CollabError, InvalidRequest, Overloaded, UnknownModel, UnknownPackage
from collabd.sensing.reading import NotMeasured
from collabd.sensing.tcp import Socket, round_trip_s

_ONE_GO = 2**20


class FailureReason(StrEnum):
    """What went wrong with a companion."""

    UNREACHABLE = "unreachable"
    LATE = "late"
    BUSY = "busy"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    UNKNOWN_PACKAGE = "unknown-package"


class CompanionFailure(Exception):
    """No usable answer from the companion."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Response(aiohttp.ClientResponse):
    """One that keeps hold of its connection's socket, which a response gives back before it can be asked for it."""

    socket: Socket | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Begin to read it from `connection`."""
        if connection.transport is not None:
            self.socket = connection.transport.get_extra_info("socket")
        return await super().start(connection)


@dataclass(frozen=True)
class Reply:
    """What came back over HTTP, and what the exchange says of the link. `receive_s` None: the companion did not say."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    receive_s: float | None
    round_trip_s: float | NotMeasured


class Http:
    """The companion `name` at `url`, over the pool of kept-alive connections of `session`."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._base = url.rstrip("/")
        self._session = session

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Reply:
        """One HTTP exchange. Raises `CompanionFailure` where the companion is not reached."""
        # aiohttp writes bytes in one go, which would hold up the loop where they are a package or a large photograph.
        body = io.BytesIO(data) if data is not None and len(data) > _ONE_GO else data
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=self._session.timeout.sock_connect)
        start = time.perf_counter()
        try:
            async with self._session.request(
                method, self._base + path, data=body, headers=headers, timeout=timeout
            ) as reply:
                answer = await reply.read()
                seconds = time.perf_counter() - start
                round_trip = round_trip_s(reply.socket if isinstance(reply, Response) else None)
                return Reply(reply.status, reply.headers, answer, seconds, _receive_s(reply.headers), round_trip)
        except TimeoutError as error:
            raise CompanionFailure(FailureReason.LATE, f"{self._name} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CompanionFailure(FailureReason.UNREACHABLE, f"{self._name} at {self._base}: {error}") from error


def refusal(error: CollabError) -> CompanionFailure:
    """What a companion's error means to a call."""
    match error:
        case UnknownPackage() | UnknownModel():
            reason = FailureReason.UNKNOWN_PACKAGE
        case Overloaded():
            reason = FailureReason.BUSY
        case InvalidRequest():
            reason = FailureReason.REFUSED
        case _:
            reason = FailureReason.NONSENSE
    return CompanionFailure(reason, f"the companion answered: {error}")


def _receive_s(headers: Mapping[str, str]) -> float | None:
    try:
        seconds = float(headers[wire.RECEIVE_MS]) / 1e3
    except (KeyError, ValueError):
        return None
    return seconds if 0 <= seconds < math.inf else None
