"""Find, check and read key files. No error shows what is in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# Far more than any has: a certificate with its chain takes a few kilobytes, a line of tokens a hundred bytes.
_MOST_BYTES = 2**20
# Rights that a private file must not give: to others any, to its group to write. The group may read, because the group
# `ssl-cert` and systemd's credentials rely on it.
TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


class KeyProblem(Exception):
    """A key file that cannot be used; the message begins with its path, and says what to do."""


def locate(name: str, configuration: Path) -> str:
    """The path of the key file `name`: among systemd's credentials, else beside the file of the `configuration`."""
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / name
    path = Path(name).expanduser()
    if not path.is_absolute() and os.access(credential, os.R_OK):
        return str(credential)
    return str(configuration.parent.absolute() / path)


def read(path: str, *, private: bool) -> bytes:
    """The content of a key file. If it is `private`, others must have no right to it. Raises `KeyProblem`."""
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
