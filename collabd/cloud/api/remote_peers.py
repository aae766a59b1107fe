"""What peers over the network may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from collabd.http.server import ConnectionLimits


@dataclass(frozen=True, kw_only=True)
class RemotePeerLimits:
    """`connections`: around requests. `handshake_s`: for that of TLS. `push_s`: for the upload of a package."""

    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    # Far longer than a handshake takes on the slowest link. Whoever stalls in it holds no more than a connection.
    handshake_s: float = 10.0
    # Others wait for their turn meanwhile.
    push_s: float = 600.0


REMOTE_PEERS = RemotePeerLimits()
