"""Where the daemon listens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SOCKET = Path("/run/collabd/collabd.sock")


def socket_path(given: str | os.PathLike[str] | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The socket to talk to: the given one, else $COLLABD_SOCKET, else the user's own daemon's, else the service's."""
    if chosen := given or environment.get("COLLABD_SOCKET"):
        return Path(chosen)
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        own = Path(runtime, "collabd", "collabd.sock")
        if own.exists():
            return own
    return SYSTEM_SOCKET
