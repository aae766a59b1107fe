"""The peers at the socket: who they are, and what they may take."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from aiohttp import web

from collabd.http.bodies import LOCAL, BodyPace, largest_body
from collabd.http.plain import RequestHead
from collabd.http.server import Connection, ConnectionLimits


def head_of(request: web.Request, most_bytes: int) -> RequestHead:
    """The head of a request whose body may have `most_bytes`."""
    connection = request.protocol
    peer = connection.peer if isinstance(connection, Connection) else None
    return RequestHead(request.headers, request.transport, peer, largest_body(request, most_bytes))


def user_of(head: RequestHead) -> Hashable:
    """The user who asks. All whom the kernel cannot name are one."""
    return head.peer


@dataclass(frozen=True, kw_only=True)
class LocalPeers:
    """`user_of`: whose share of the daemon a call takes. `body_pace`: how slowly the body of a call may come."""

    user_of: Callable[[RequestHead], Hashable] = user_of
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    body_pace: BodyPace = LOCAL


LOCAL_PEERS = LocalPeers()
