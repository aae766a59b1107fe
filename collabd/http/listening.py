"""Where a server listens, and who can reach it there."""

from __future__ import annotations

import ipaddress
import socket

_IPC = "ipc://"


def is_ipc(listen: str) -> bool:
    """Whether `listen` is a path, as ZeroMQ names it, and no HOST:PORT."""
    return listen.startswith(_IPC)


def ipc_path(listen: str) -> str:
    """The path of "ipc:///PATH"."""
    return listen.removeprefix(_IPC)


def host_and_port(listen: str) -> tuple[str, int]:
    """Both of "HOST:PORT"; an address of IPv6 comes in brackets, and goes without."""
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def binds_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`. False for an unknown name."""
    try:
        # An empty host means every address.
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
