"""Whether an index is the one that somebody trusts: it has a known sha256, or the signature of a known key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from collab_sdk.errors import InvalidRequest
from collabd.atomic_file import replace_file

# A file beside the index: its ed25519 signature (RFC 8032) in base64.
SIGNATURE = ".sig"
MOST_SIGNATURE_BYTES = 1024
_PRIVATE = 0o600


@dataclass(frozen=True)
class Trust:
    """What an index must have: this `sha256` in hexadecimal digits, the signature of this `key` in base64, or both."""

    sha256: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise InvalidRequest(f"{self.sha256[:80]!r} is not a sha256, which has 64 hexadecimal digits")
        if self.key:
            _public(self.key)

    def __bool__(self) -> bool:
        return bool(self.sha256 or self.key)

    def check(self, index: bytes, signature: bytes, where: str) -> None:
        """Raises `InvalidRequest` unless the index has all of it."""
        found = hashlib.sha256(index).hexdigest()
        if self.sha256 and not hmac.compare_digest(found, self.sha256):
            raise InvalidRequest(f"{where} has sha256 {found}, not {self.sha256}: it was changed, or is another index")
        if self.key:
            try:
                _public(self.key).verify(base64.b64decode(signature, validate=False), index)
            except (InvalidSignature, binascii.Error) as error:
                raise InvalidRequest(f"{where} is not signed with the key {self.key}: do not trust it") from error


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file (PEM, PKCS 8), made where there is none. Raises `InvalidRequest`, `OSError`."""
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        replace_file(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=_PRIVATE)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"{path} is not a private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidRequest(f"{path} is a key of another kind than ed25519")
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """What those who pull give as the key."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def signature(key: Ed25519PrivateKey, index: bytes) -> bytes:
    """The content of the file beside the index."""
    return base64.b64encode(key.sign(index)) + b"\n"


def _public(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise InvalidRequest(f"{text[:80]!r} is not an ed25519 key, which has 44 characters of base64") from error
