"""The seam between the clients and the daemon: requests go out, replies come in.

The clients use `UnixTransport` by default; `collab_sdk.mock` has a transport for the tests of applications. A transport
makes one exchange. The client, not the transport, waits for a daemon that is away and sends a request again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus

from collab_sdk._message import Headers, Message, decode_error
from collab_sdk.errors import DaemonUnavailable

__all__ = ["OK", "TOO_LATE", "ConnectionBroke", "DaemonReply", "DaemonRequest", "QueueFull", "Transport"]

# The status of success. Python 3.11 calls a function for a member of an enum.
OK = int(HTTPStatus.OK)
# The message of every `DeadlineExceeded` that the client side raises.
TOO_LATE = "collabd did not answer within the client's timeout_s"


class ConnectionBroke(DaemonUnavailable):
    """The connection ended with a request in flight. Nobody knows whether the daemon served it."""


class QueueFull(DaemonUnavailable):
    """The queue of the daemon's socket is full: too many callers wait for a connection. Nothing was sent."""


@dataclass(frozen=True)
class DaemonRequest:
    """An HTTP request to the daemon.

    ``method``: "GET", "POST" or "DELETE". ``url``: path and query, escaped, such as "/v2/models/net/infer".
    ``message``: headers and body; its chunks may be the caller's own memory, and are to be copied if kept.
    """

    method: str
    url: str
    message: Message = field(default_factory=Message)


@dataclass(frozen=True)
class DaemonReply:
    """An HTTP reply of the daemon, read to its end. ``status``: that of HTTP, such as 200."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=dict[str, str])

    def raise_for_status(self) -> None:
        """Raise the `CollabError` class of the reply's error code, if the daemon refused or failed."""
        if self.status != OK:
            raise decode_error(self.status, self.body)


class Transport(ABC):
    """Carries requests to a daemon. Any number of threads may send at once; `AsyncClient` sends from threads, too."""

    @abstractmethod
    def send(self, request: DaemonRequest, *, timeout_s: float) -> DaemonReply:
        """The reply to one request, whatever its status, within ``timeout_s`` seconds (above 0).

        `DaemonUnavailable`: nobody is there, and nothing was sent. `ConnectionBroke`, `QueueFull`: see there.
        `PermissionRefused`: the daemon may not be talked to. `DeadlineExceeded`: no reply in time. `ProtocolError`:
        what came is no HTTP.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the kept connections. Later requests use new connections, which are not kept."""
