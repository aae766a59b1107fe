"""Bearer tokens: a device keeps its own; the companion keeps a line for each device, with the SHA-256 of its token.

A token is 32 random bytes, so nobody finds it from its hash, and whoever reads the companion's file gets no access.
Removing a line shuts out the device that it names.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping

from collabd.keys.files import KeyProblem, read

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_~+/.=-]{32,512}")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s+sha256:(?P<hash>[0-9a-f]{64})")
_SCHEME = "bearer "


class Tokens:
    """Who may use the companion: the SHA-256 of each device's token, by the name of the device.

    `equal` compares two hashes, in a time that does not tell where they differ.
    """

    def __init__(self, hashes: Mapping[str, str], *, equal: Callable[[str, str], bool] = hmac.compare_digest) -> None:
        self._hashes = dict(hashes)
        self._equal = equal

    @property
    def names(self) -> list[str]:
        """The devices."""
        return list(self._hashes)

    def device(self, authorization: str) -> str | None:
        """The device whose token is in this Authorization header; None: no device's.

        Headers of the same length all take the same time.
        """
        presented = fingerprint(authorization[len(_SCHEME) :])
        # Every hash is compared, each in constant time, so that the time does not tell which one is nearly right.
        found = [name for name, known in self._hashes.items() if self._equal(known, presented)]
        return found[0] if found and authorization[: len(_SCHEME)].lower() == _SCHEME else None


def read_tokens(path: str) -> Tokens:
    """Read the companion's file. Raises `KeyProblem`, which gives the number of a wrong line, never its text."""
    return Tokens(dict(_entries(path, read(path, private=True).decode(errors="replace"))))


def read_token(path: str) -> str:
    """Read a device's own token. Raises `KeyProblem`."""
    token = read(path, private=True).decode(errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise KeyProblem(
            f"{path}: holds no token: it needs one line of 32 or more letters and digits, as collabctl pair writes it"
        )
    return token


def new_token() -> str:
    """A token nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def fingerprint(token: str) -> str:
    """The SHA-256 of a token, which the companion keeps."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def line(name: str, token: str) -> str:
    """The line for a device in the companion's file."""
    return f"{name} sha256:{fingerprint(token)}\n"


def _entries(path: str, text: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, written in enumerate(text.splitlines(), 1):
        if not (stripped := written.strip()) or stripped.startswith("#"):
            continue
        entry = _LINE.fullmatch(stripped)
        if entry is None:
            raise KeyProblem(f"{path}, line {number}: is not NAME sha256:HASH, as collabctl pair new writes it")
        if entry["name"] in seen:
            raise KeyProblem(f"{path}, line {number}: this is a second line for {entry['name']}")
        seen.add(entry["name"])
        yield entry["name"], entry["hash"]
