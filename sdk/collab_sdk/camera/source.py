"""What the name of a source means."""

from __future__ import annotations

import netrc
import os
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

from collab_sdk.errors import CameraUnavailable

Kind: TypeAlias = Literal["device", "picamera2", "url", "file"]

SCHEMES = ("rtsp", "rtsps", "http", "https")
# Some cameras take the password as part of the path or the query.
_SECRETS = re.compile(r"((?:password|passwd|pass|pwd|token|key)=)[^&/;]*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class CameraSource:
    """Where pictures come from.

    ``target``: path of a device or file, number of a Raspberry Pi's camera, or a URL with user and password.
    ``shown``: the same in words, without them.
    """

    kind: Kind
    target: str
    shown: str

    # Seconds that a camera may take to be opened, or to give a picture.
    patience_s: float = 5.0

    @property
    def is_live(self) -> bool:
        """Whether pictures come at their own pace."""
        return self.kind != "file"


def parse_source(source: str | os.PathLike[str] | int) -> CameraSource:
    """The source of this name (`Camera`). `CameraUnavailable`: a URL that cannot be read."""
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    if text.isdecimal():
        text = f"/dev/video{int(text)}"
    if text.startswith("/dev/"):
        return CameraSource(kind="device", target=text, shown=text)
    if found := re.fullmatch(r"picamera2(?::(\d+))?", text):
        return CameraSource(kind="picamera2", target=found[1] or "0", shown=text)
    if "://" in text:
        return _of_url(text)
    return CameraSource(kind="file", target=text, shown=text)


def _of_url(text: str) -> CameraSource:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CameraUnavailable(f"cannot read the URL of the camera: {error}") from error
    if parts.scheme not in SCHEMES or not host:
        raise CameraUnavailable(f"{_shown(text)} is not the URL of a camera: it begins with {'://, '.join(SCHEMES)}://")
    if parts.username is None and (login := _login(host)) is not None:
        user, password = (quote(each, safe="") for each in login)
        bare = f"[{host}]" if ":" in host else host
        netloc = f"{user}:{password}@{bare}" + ("" if port is None else f":{port}")
        text = urlunsplit(parts._replace(netloc=netloc))
    return CameraSource(kind="url", target=text, shown=_shown(text))


def _shown(url: str) -> str:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    hidden = _SECRETS.sub(r"\1…", path)
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{hidden}"


def _login(host: str) -> tuple[str, str] | None:
    """User and password of this host in ~/.netrc."""
    try:
        found = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise CameraUnavailable(f"cannot read the password of {host}: {error}") from error
    return None if found is None else (found[0], found[2] or "")
