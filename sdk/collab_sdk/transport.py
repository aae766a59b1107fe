"""The seam between the clients and the daemon: requests go out, replies come in.

`UnixTransport` is the one that the clients use by themselves; `collab_sdk.mock` has one for the tests of applications.
A transport makes one exchange: waiting for a daemon that is away, and sending again, are the clients' own affair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus

from collab_sdk._message import Headers, Message, decode_error
from collab_sdk.errors import DaemonUnavailable

__all__ = ["TOO_LATE", "ConnectionBroke", "DaemonReply", "DaemonRequest", "QueueFull", "Transport"]

# What `DeadlineExceeded` says, whoever finds that the time is over.
TOO_LATE = "collabd did not answer within the client's timeout_s"


class ConnectionBroke(DaemonUnavailable):
    """The connection ended with a request in flight, which the daemon may have served or not."""


class QueueFull(DaemonUnavailable):
    """So many callers wait to be connected that the daemon's socket takes no more for now. Nothing was sent."""


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
        """Raise what the daemon refused or failed at, as the class of its code."""
        if self.status != HTTPStatus.OK:
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
        """Let go of kept connections. Sending is possible afterwards, on new ones that are not kept."""
