"""Permissions on the socket: the credentials of a peer give its kind, and the kind gives its rights."""

from __future__ import annotations

import grp
import logging
import os
from enum import StrEnum
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from collab_sdk.errors import PermissionRefused
from collab_sdk.text import plain
from collabd.http import repository
from collabd.http.peers import PeerCredentials, credentials

log = logging.getLogger(__name__)

_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_NOBODY = 65534
_ADMINISTERED = ("/collab/v1/", repository.ADMINISTERED)
_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class PeerKind(StrEnum):
    """The kind of a peer. If several apply, the first counts."""

    UNKNOWN = "a caller whom the kernel cannot name"
    ROOT = "root"
    OWN = "the user that collabd runs as"
    ADMINISTRATOR = "a member of the administrators' group"
    CALLER = "a caller whom the socket's mode lets in"


# Only these may change models. The mode of the socket decides who may connect; all who can may infer and read.
ADMINISTERS = frozenset({PeerKind.ROOT, PeerKind.OWN, PeerKind.ADMINISTRATOR})


def case_of(peer: PeerCredentials | None, administrators: int | None, *, own_uid: int) -> PeerKind:
    """The kind of `peer`.

    `administrators`: the gid of the administrators' group; None if there is none. `own_uid`: the uid of the daemon.
    """
    # A user namespace shows users from outside as the overflow user, so that uid identifies nobody.
    if peer is None or peer.uid == _overflow_uid():
        return PeerKind.UNKNOWN
    if peer.uid == 0:
        return PeerKind.ROOT
    if peer.uid == own_uid:
        return PeerKind.OWN
    return PeerKind.ADMINISTRATOR if administrators in peer.groups else PeerKind.CALLER


def gatekeeper(administrators: str) -> Middleware:
    """Refuse administrative requests of other peers. `administrators`: the name of a group, or empty."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_ADMINISTERED) and request.method not in _READS:
            _check(request, administrators)
        return await handler(request)

    return guard


def _check(request: web.Request, administrators: str) -> None:
    """Raises `PermissionRefused` if the peer may not administer."""
    peer = credentials(request.transport)
    case = case_of(peer, _gid(administrators), own_uid=os.geteuid())
    if case in ADMINISTERS:
        return
    who = case if peer is None else f"{case} (uid {peer.uid})"
    log.warning("refused %s %s to %s", request.method, plain(request.path), who)
    group = f", and the group {administrators}" if administrators else ""
    raise PermissionRefused(
        f"you are {who}; only root, the user that collabd runs as{group} may add, remove, load and unload models: "
        "use sudo, or name one of your groups in server.administrators",
        {"case": case.name.lower()},
    )


def _gid(group: str) -> int | None:
    """The gid of `group`, looked up at each use, since the group may be created while the daemon runs."""
    try:
        return grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        log.warning("there is no group %s (server.administrators)", group)
        return None


def _overflow_uid() -> int:
    try:
        return int(_OVERFLOW_UID.read_text())
    except (OSError, ValueError):
        return _NOBODY
