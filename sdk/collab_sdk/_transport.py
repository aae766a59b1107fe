"""HTTP/1.1 over the daemon's Unix socket: kept connections, deadlines, and what to do when one breaks."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from collab_sdk._message import WAITED_MS, Message, decode_error
from collab_sdk._socket_path import socket_path
from collab_sdk.errors import (
    DaemonUnavailable,
    DeadlineExceeded,
    NotReady,
    Overloaded,
    PermissionRefused,
    ProtocolError,
)

IDLE_CONNECTIONS = 8
# The longest that a daemon is left alone because it says so.
MOST_RETRY_AFTER_S = 60.0
# A request that kills the daemon must not kill it for as long as the deadline allows.
MOST_INTERRUPTIONS = 3
_EMPTY = Message([], {})
_FOR_NOW = (Overloaded, NotReady)


@dataclass(frozen=True)
class Reply:
    """An HTTP reply, read to its end. ``waited_s``: seconds that passed before the try that it answers."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    waited_s: float

    def raise_for_status(self) -> None:
        """Raise what the daemon refused or failed at, as the class of its code."""
        if self.status != HTTPStatus.OK:
            raise decode_error(self.status, self.body)


class _Interrupted(Exception):
    """The connection broke with a request in flight, which may have been served or not."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(self.timeout)
            sock.connect(str(self._path))
            undo.pop_all()
        self.sock = sock

    def limit(self, seconds: float) -> None:
        """Bound every following wait of this connection."""
        self.timeout = seconds
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def broke_while_idle(self) -> bool:
        """Whether the peer hung up (or spoke out of turn) since the last reply."""
        self.sock.settimeout(0)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


class Transport:
    """Sends requests to the daemon behind one socket; any number of threads may share it."""

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self._given = given
        self._reached: Path | None = None
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._closed = False

    @property
    def path(self) -> Path:
        """The daemon's socket; looked for anew until a daemon was there, since it may be about to make it."""
        return self._reached or socket_path(self._given)

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is in."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        message: Message = _EMPTY,
        resend: bool = True,
        goes_on: bool = False,
    ) -> Reply:
        """The daemon's reply, whatever its status. ``deadline`` is on `time.monotonic`'s clock, seconds.

        If a connection breaks (the daemon restarts), the request is sent again until the deadline, if it may be. The
        same holds for a request that the daemon refuses for now, if the daemon says when to come back and that is
        before the deadline. If a request ``goes_on`` with an earlier answer of the daemon and the daemon is gone, the
        transport waits for it. It tells the daemon how long the caller has waited so far, because the deadline stays.
        `DaemonUnavailable`, `PermissionRefused`, `DeadlineExceeded`, `ProtocolError`.
        """
        interruptions, known, pauses_s = 0, goes_on, _back_off()
        began, waited_s = time.monotonic(), 0.0
        while True:
            pause_s = next(pauses_s)
            try:
                reply = self._attempt(method, url, message, deadline, waited_s)
                retry_after_s = _retry_after_s(reply)
                if retry_after_s is not None and time.monotonic() + retry_after_s < deadline:
                    known, pause_s = True, max(pause_s, retry_after_s)
                elif not (interruptions and _still_loading(reply)):
                    return reply
            except _Interrupted as error:
                interruptions += 1
                if not resend or interruptions == MOST_INTERRUPTIONS:
                    why = f"collabd at {self.path} closed the connection during the call: {error}"
                    raise DaemonUnavailable(why) from error
            except DaemonUnavailable:
                if not (interruptions or known) or time.monotonic() + pause_s > deadline:
                    raise
            except BlockingIOError:
                # A Unix socket whose queue is full says so at once, timeout or not.
                pass
            time.sleep(min(pause_s, _left(deadline)))
            waited_s = time.monotonic() - began

    def _attempt(self, method: str, url: str, message: Message, deadline: float, waited_s: float) -> Reply:
        connection = self._take() or self._connect(deadline)
        try:
            reply = _exchange(connection, method, url, message, deadline, waited_s)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return reply

    def _connect(self, deadline: float) -> _Connection:
        path = self.path
        connection = _Connection(path)
        connection.limit(_left(deadline))
        try:
            connection.connect()
        except BlockingIOError:
            raise
        except PermissionError as error:
            raise PermissionRefused(
                f"this user may not open {path}: join the group collab "
                "(sudo usermod -aG collab $USER, then log in again)"
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise DaemonUnavailable(
                f"cannot reach collabd at {path}: it is not running (sudo systemctl start collabd, or run `collabd`)"
            ) from error
        except OSError as error:
            raise DaemonUnavailable(f"cannot reach collabd at {path}: {error}") from error
        self._reached = path
        return connection

    def _take(self) -> _Connection | None:
        with self._lock:
            if self._owner != os.getpid():
                # A fork's two processes would read each other's replies.
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if not connection.broke_while_idle():
                    return connection
                connection.close()
        return None

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if connection.sock is not None and not self._closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()


def _exchange(
    connection: _Connection, method: str, url: str, message: Message, deadline: float, waited_s: float
) -> Reply:
    headers = message.headers | {"Content-Length": str(message.length)}
    if waited_s:
        headers |= {WAITED_MS: f"{waited_s * 1e3:.3f}"}
    try:
        connection.limit(_left(deadline))
        # A daemon that refuses a body closes before it has read it all; its reply may be there.
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, url, body=message.chunks, headers=headers)
        connection.limit(_left(deadline))
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read(), waited_s)
    except TimeoutError as error:
        raise DeadlineExceeded("collabd did not answer within the client's timeout_s") from error
    except (ConnectionError, http.client.IncompleteRead) as error:
        raise _Interrupted(str(error)) from error
    except http.client.HTTPException as error:
        raise ProtocolError(f"the program that answers is not collabd: {error!r}") from error


def _back_off() -> Iterator[float]:
    """Pauses between attempts, seconds: a restart takes from a tenth of a second to a few."""
    return itertools.chain((0.0, 0.05, 0.1, 0.2), itertools.repeat(0.4))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("collabd did not answer within the client's timeout_s")
    return left


def _retry_after_s(reply: Reply) -> float | None:
    """When to come back, if the request was not taken for now; None: it was, or the daemon does not say."""
    text = reply.headers.get("Retry-After", "")
    if not (text.isascii() and text.isdecimal() and isinstance(decode_error(reply.status, reply.body), _FOR_NOW)):
        return None
    return min(float(text), MOST_RETRY_AFTER_S)


def _still_loading(reply: Reply) -> bool:
    return reply.status == NotReady.http_status and isinstance(decode_error(reply.status, reply.body), NotReady)
