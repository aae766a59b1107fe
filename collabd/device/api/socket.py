"""The Unix socket: the one systemd hands over, or our own."""

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
    """Another daemon answers behind the path."""


def open_socket(configured: str) -> socket.socket:
    """A bound socket. Raises `SocketInUse`, `OSError`."""
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
    """Tell all who wait at the socket of systemd why nobody serves them; it would start the daemon again for them."""
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
    """Socket activation, sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_FIRST_FD)


def _remove_stale(path: Path) -> None:
    """A socket file outlives a daemon that was killed; one that answers belongs to somebody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SocketInUse(f"another collabd already answers at {path} (systemctl status collabd)")
