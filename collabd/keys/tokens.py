"""Bearer tokens: the device keeps its own, the companion a line for each device with the token's SHA-256.

A token is 32 random bytes, so a plain hash cannot be turned back, and the companion's file opens nothing. Removing a
line revokes the device that it names.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping

from collabd.keys.files import KeyProblem, read

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_~+/.=-]{32,512}")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s+sha256:(?P<hash>[0-9a-f]{64})")
_SCHEME = "bearer "


class Tokens:
    """Who may come in: the SHA-256 of each device's token, by the device's name."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = dict(hashes)

    @property
    def names(self) -> list[str]:
        """The devices."""
        return list(self._hashes)

    def device(self, authorization: str) -> str | None:
        """Whose token this Authorization header has; None: nobody's. Takes as long for every header of a length."""
        presented = fingerprint(authorization[len(_SCHEME) :])
        # All of them, each in constant time: how long it takes says nothing about which one is near.
        found = [name for name, known in self._hashes.items() if hmac.compare_digest(known, presented)]
        return found[0] if found and authorization[: len(_SCHEME)].lower() == _SCHEME else None


def read_tokens(path: str) -> Tokens:
    """The companion's file. Raises `KeyProblem`, which names lines by number alone."""
    return Tokens(dict(_entries(path, read(path, private=True).decode(errors="replace"))))


def read_token(path: str) -> str:
    """A device's own token. Raises `KeyProblem`."""
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
    """What the companion keeps of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def line(name: str, token: str) -> str:
    """The companion's line for a device."""
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
