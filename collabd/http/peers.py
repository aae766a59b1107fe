"""Who is at the other end of a Unix socket. The kernel knows it: SO_PEERCRED of unix(7)."""

from __future__ import annotations

import array
import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")
# SO_PEERGROUPS, since Linux 4.13; Python has no name for it.
_PEERGROUPS = 59
# Python reads 1 KiB at most, which is 256 groups. Of a process in more groups the kernel names none.
_MOST_BYTES = 1024
_GROUP = "I"


@dataclass(frozen=True)
class PeerCredentials:
    """What the process had when it connected. `groups`: its own group and the supplementary ones."""

    pid: int
    uid: int
    groups: frozenset[int]


def credentials(transport: asyncio.BaseTransport | None) -> PeerCredentials | None:
    """Those of the peer; None: the kernel does not know them, since the peer came over the network or is gone."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    try:
        answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    pid, uid, gid = _CREDENTIALS.unpack(answer)
    return PeerCredentials(pid, uid, frozenset({gid, *_groups(connection)}))


def _groups(connection: socket.socket) -> array.array[int]:
    groups = array.array(_GROUP)
    with suppress(OSError):
        groups.frombytes(connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _MOST_BYTES))
    return groups
