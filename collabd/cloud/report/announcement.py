"""What the daemon announces of itself in the local network. All of it is public."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from collabd import __version__
from collabd.config import CloudServerSettings
from collabd.discovery.announcement import Announcement, is_name
from collabd.discovery.machine import machine_name, own_addresses, reached_at
from collabd.keys.identity import authority_of, name_of

log = logging.getLogger(__name__)


class CloudAnnouncement:
    """Of a daemon that listens on these sockets."""

    def __init__(
        self,
        server: CloudServerSettings,
        sockets: Iterable[socket.socket],
        *,
        own: Callable[[], Sequence[str]] = own_addresses,
    ) -> None:
        self._server = server
        self._listened = [str(each.getsockname()[0]) for each in sockets]
        self._port = int(next(iter(sockets)).getsockname()[1])
        self._own = own
        self.renew()

    def renew(self) -> None:
        """Read the certificate again."""
        name, self._authority = "", ""
        if self._server.tls_cert:
            pem = Path(self._server.tls_cert).read_bytes()
            try:
                name, self._authority = name_of(pem), authority_of(pem)
            except ValueError as error:
                # OpenSSL takes some that are out of form, and it is what serves them.
                log.warning("devices cannot find this companion again, since its certificate is out of form: %s", error)
        self._name = name if is_name(name) else machine_name()

    def __call__(self) -> Announcement:
        """As it is true now. Raises `OSError`."""
        return Announcement(
            name=self._name,
            addresses=reached_at(self._listened, self._own()),
            port=self._port,
            version=__version__,
            secured=bool(self._server.tls_cert),
            authority=self._authority,
        )
