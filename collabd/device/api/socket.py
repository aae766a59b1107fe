"""The Unix socket of the daemon: systemd passes it, or the daemon creates it."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from collab_sdk._message import encode_error
from collab_sdk._socket_path import own_socket
from collab_sdk.errors import DaemonUnavailable

_FIRST_FD = 3


class SocketInUse(OSError):
    """Another daemon answers at the path of the socket."""


def open_socket(configured: str) -> socket.socket:
    """The bound socket, at the path `configured` or at the default path if it is empty.

    Raises `SocketInUse`, `OSError`.
    """
    handed = _from_systemd()
    if handed is not None:
        return handed
    path = Path(configured) if configured else own_socket()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o117)  # the owner and the group may talk to the daemon
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def turn_away(reason: str) -> None:
    """Tell the callers that wait at systemd's socket why they are not served.

    If they were left waiting, systemd would start the daemon again for them.
    """
    listener = _from_systemd()
    if listener is None:
        return
    body = encode_error(DaemonUnavailable(reason))
    head = f"HTTP/1.1 {DaemonUnavailable.http_status} Service Unavailable\r\nContent-Length: {len(body)}\r\n"
    listener.setblocking(False)
    with listener, contextlib.suppress(BlockingIOError):
        while True:
            caller, _ = listener.accept()
            with caller, contextlib.suppress(OSError):
                caller.send(f"{head}Connection: close\r\n\r\n".encode() + body)


def _from_systemd() -> socket.socket | None:
    """The socket that systemd passed, if it did: see sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_FIRST_FD)


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a daemon that was killed. Raises `SocketInUse` if a daemon still answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SocketInUse(f"another collabd already answers at {path} (systemctl status collabd)")
