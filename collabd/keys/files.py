"""Key files: found, checked and read. What is in them appears in no error."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# A certificate with its chain has a few kilobytes, a line of tokens a hundred bytes.
_MOST_BYTES = 2**20
# Others may read it or write it, or the group may write it. The group may read: so do `ssl-cert` and systemd's
# credentials work.
TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


class KeyProblem(Exception):
    """A key file that cannot be used; the message begins with its path, and says what to do."""


def locate(name: str, configuration: Path) -> str:
    """Where the key file `name` of a configuration file lies: among systemd's credentials, else beside that file."""
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / name
    path = Path(name).expanduser()
    if not path.is_absolute() and os.access(credential, os.R_OK):
        return str(credential)
    return str(configuration.parent.absolute() / path)


def read(path: str, *, private: bool) -> bytes:
    """The content of a key file; one that is `private` must be closed to others. Raises `KeyProblem`."""
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            if private and status.st_mode & TOO_OPEN:
                raise KeyProblem(
                    f"{path}: other users can read or replace it (mode {status.st_mode & 0o777:04o}): chmod 400 it"
                )
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise KeyProblem(f"{path}: cannot be read: {error.strerror}") from error
    if not content.strip():
        raise KeyProblem(f"{path}: is empty")
    if len(content) > _MOST_BYTES:
        raise KeyProblem(f"{path}: is too large for a key file")
    return content
