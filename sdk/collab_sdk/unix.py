"""HTTP/1.1 over the daemon's Unix socket, on connections that are kept."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

from collab_sdk._http import BrokeOff, KeptConnection, NotHttp
from collab_sdk._socket_path import socket_path
from collab_sdk.errors import DaemonUnavailable, DeadlineExceeded, PermissionRefused, ProtocolError
from collab_sdk.transport import TOO_LATE, ConnectionBroke, DaemonReply, DaemonRequest, QueueFull, Transport

__all__ = ["UnixTransport"]

IDLE_CONNECTIONS = 8


class UnixTransport(Transport):
    """Sends requests to the daemon behind one socket; any number of threads may share it.

    ``socket``: its path; None: $COLLABD_SOCKET, else $XDG_RUNTIME_DIR/collabd/collabd.sock if there is one, else
    /run/collabd/collabd.sock.
    """

    def __init__(self, socket: str | os.PathLike[str] | None = None) -> None:
        self._given = socket
        self._reached: Path | None = None
        self._idle: list[KeptConnection] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._closed = False

    @property
    def path(self) -> Path:
        """The daemon's socket. Each call looks for it again until a daemon was found, which may still be starting."""
        return self._reached or socket_path(self._given)

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is in."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def send(self, request: DaemonRequest, *, timeout_s: float) -> DaemonReply:
        """See `Transport.send`."""
        deadline = time.monotonic() + timeout_s
        connection = self._take() or self._connect(deadline)
        try:
            reply = connection.exchange(request, deadline)
        except BaseException as error:
            connection.close()
            if isinstance(error, BrokeOff):
                raise ConnectionBroke(
                    f"collabd at {self.path} closed the connection during the call: {error}"
                ) from error
            if isinstance(error, NotHttp):
                raise ProtocolError(f"the program that answers is not collabd: {error}") from error
            raise
        self._give_back(connection)
        return reply

    def _connect(self, deadline: float) -> KeptConnection:
        path = self.path
        try:
            connection = KeptConnection(_connected(path, _left_s(deadline)))
        except BlockingIOError as error:
            # A Unix socket with a full queue refuses at once, even if a timeout is set.
            raise QueueFull(f"cannot reach collabd at {path}: too many callers wait for it") from error
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

    def _take(self) -> KeptConnection | None:
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

    def _give_back(self, connection: KeptConnection) -> None:
        with self._lock:
            if connection.kept and not self._closed and len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()


def _connected(path: Path, timeout_s: float) -> socket.socket:
    with contextlib.ExitStack() as undo:
        connected = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connected.settimeout(timeout_s)
        connected.connect(str(path))
        undo.pop_all()
    return connected


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise DeadlineExceeded(TOO_LATE)
    return left_s
