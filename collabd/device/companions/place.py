"""At which address a companion is asked now."""

from __future__ import annotations

from urllib.parse import urlsplit

from collabd.device.companions.connection import Address
from collabd.discovery.announcement import url_of

_PORTS = {"http": 80, "https": 443}


class CompanionPlace:
    """That of the configured `url`, until the companion is found at another one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._home_url = url.rstrip("/")
        self.home = Address(parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.scheme == "https")
        self.now = self.home

    @property
    def found_at(self) -> str | None:
        """The URL where the companion was found; None: it is asked at the one that is configured."""
        return None if self.now == self.home else url_of(self.now.host, self.now.port, secured=self.now.tls)

    @property
    def url(self) -> str:
        """Where the companion is asked now."""
        return self.found_at or self._home_url
