"""The peers at the socket: who they are, and what they may take."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from aiohttp import web

from collabd.http.bodies import LOCAL, BodyPace
from collabd.http.server import Connection, ConnectionLimits


def user_of(request: web.Request) -> Hashable:
    """The user who asks. All whom the kernel cannot name are one."""
    connection = request.protocol
    return connection.peer if isinstance(connection, Connection) else None


@dataclass(frozen=True, kw_only=True)
class LocalPeers:
    """`user_of`: whose share of the daemon a call takes. `body_pace`: how slowly the body of a call may come."""

    user_of: Callable[[web.Request], Hashable] = user_of
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    body_pace: BodyPace = LOCAL


LOCAL_PEERS = LocalPeers()
