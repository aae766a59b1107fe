"""Whether the certificates that a configuration names expire soon."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from collabd.health.conditions import Code, Sighting
from collabd.sensing.reading import Every

_SOON_S = 30 * 86400.0
_ASKED_EVERY_S = 86400.0
_PATIENCE_S = 60.0


class CertificateSense:
    """Of the files that `paths` names now. They are read once a day, and when other files are named."""

    def __init__(self, paths: Callable[[], Sequence[str]], *, wall: Callable[[], float] = time.time) -> None:
        self._paths = paths
        self._wall = wall
        self._read: tuple[str, ...] = ()
        self._every = Every(_ASKED_EVERY_S)
        self._expiries: dict[str, float] = {}

    def __call__(self) -> Iterator[Sighting]:
        """Those that have expired, and those that do so within 30 days."""
        paths = tuple(sorted({path for path in self._paths() if path}))
        now = self._wall()
        if self._every.due(now) or paths != self._read:
            self._read, self._expiries = paths, expiries_of(paths) if paths else {}
        for path, expires in self._expiries.items():
            days = (expires - now) / 86400
            if days <= 0:
                yield Sighting(code=Code.CERTIFICATE_EXPIRED, about=path, what=f"{path} expired {-days:.0f} days ago")
            elif expires - now < _SOON_S:
                yield Sighting(code=Code.CERTIFICATE_EXPIRING, about=path, what=f"{path} expires in {days:.0f} days")


def expiries_of(paths: Sequence[str]) -> dict[str, float]:
    """By path, when the first of its certificates expires, in seconds since 1970. What cannot be read is left out.

    Another process reads them, since what reads certificates would keep 8 MB of memory.
    """
    found = subprocess.run(  # noqa: S603  files that the configuration names
        [sys.executable, "-I", "-m", "collabd.keys.expiry", *paths],
        capture_output=True,
        check=True,
        timeout=_PATIENCE_S,
    )
    return dict(json.loads(found.stdout))
