"""Where the daemon listens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SOCKET = Path("/run/collabd/collabd.sock")


def own_socket(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a daemon that this user started listens."""
    return Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}", "collabd", "collabd.sock")


def socket_path(given: str | os.PathLike[str] | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The socket to talk to: the given one, else $COLLABD_SOCKET, else the user's own daemon's, else the service's."""
    if chosen := given or environment.get("COLLABD_SOCKET"):
        return Path(chosen)
    own = own_socket(environment)
    # Path.exists raises if XDG_RUNTIME_DIR belongs to another user, as it does after `su`.
    return own if os.access(own, os.F_OK) else SYSTEM_SOCKET
