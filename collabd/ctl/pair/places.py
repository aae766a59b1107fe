"""The place and the owner of key files, and how they are written: either completely or not at all."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from collabd.atomic_file import replace_file

SERVICES = Path("/etc/collabd")
PRIVATE, PUBLIC, OWNERS = 0o400, 0o444, 0o600


class Place:
    """The folder of a daemon's keys, beside its configuration file."""

    def __init__(self, daemon: str, configuration: Path, keys: Path | None) -> None:
        self.configuration = configuration
        self.folder = keys or configuration.parent / "keys" / daemon
        service = os.geteuid() == 0 and configuration.parent == SERVICES
        self._owner = _user(daemon) if service else None

    def put(self, name: str, content: bytes, mode: int, *, daemons: bool = True) -> None:
        """Write a key file. The daemon owns it, or else the user who runs this."""
        path = self.folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, content, mode=mode, owner=self._owner if daemons else None)

    def configured(self, name: str) -> str:
        """The path of a key file, as the configuration file names it."""
        path = self.folder / name
        folder = self.configuration.parent
        return str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())


def rewrite(path: Path, text: str) -> None:
    """Replace a configuration file and keep its owner and mode; if it is a link, replace the file behind the link."""
    real = path.resolve()
    if not real.exists():
        real.parent.mkdir(parents=True, exist_ok=True)
        replace_file(real, text.encode(), mode=0o644)
        return
    status = real.stat()
    owner = status.st_uid if os.geteuid() == 0 else None
    replace_file(real, text.encode(), mode=status.st_mode & 0o7777, owner=owner)


def text_of(path: Path) -> str:
    """The text of a configuration file; "" if there is no file."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def caller() -> int | None:
    """The user who called sudo; this user owns the file that is carried to the device."""
    return int(os.environ.get("SUDO_UID", "0")) if os.geteuid() == 0 else None


def _user(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
