"""Who vouches for an index."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from collab_sdk.errors import InvalidRequest
from collabd.catalog.pull.trust import Trust, public_text, signature, signing_key

INDEX = b'{"models": []}'
SHA256 = hashlib.sha256(INDEX).hexdigest()


def test_the_right_sha256_is_enough() -> None:
    Trust(sha256=SHA256).check(INDEX, b"", "index.json")
    with pytest.raises(InvalidRequest, match=f"has sha256 .*, not {SHA256}: it was changed, or is another index"):
        Trust(sha256=SHA256).check(INDEX + b" ", b"", "index.json")


def test_a_signature_holds_for_its_key_and_its_index_alone(tmp_path: Path) -> None:
    key, other = signing_key(tmp_path / "key"), signing_key(tmp_path / "other")
    signed = signature(key, INDEX)
    Trust(key=public_text(key)).check(INDEX, signed, "index.json")
    for trust, index, given in [
        (Trust(key=public_text(other)), INDEX, signed),
        (Trust(key=public_text(key)), INDEX + b" ", signed),
        (Trust(key=public_text(key)), INDEX, b""),
        (Trust(key=public_text(key)), INDEX, b"no base64 at all!"),
    ]:
        with pytest.raises(InvalidRequest, match="is not signed with the key"):
            trust.check(index, given, "index.json")


def test_if_both_are_known_both_must_be_right(tmp_path: Path) -> None:
    key = signing_key(tmp_path / "key")
    with pytest.raises(InvalidRequest, match="has sha256"):
        Trust("0" * 64, public_text(key)).check(INDEX, signature(key, INDEX), "index.json")


@pytest.mark.parametrize(
    ("sha256", "key"), [("abc", ""), (SHA256.upper(), ""), ("", "abc"), ("", base64.b64encode(b"x" * 31).decode())]
)
def test_what_is_no_sha256_or_key_is_refused_at_once(sha256: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a"):
        Trust(sha256, key)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    assert public_text(signing_key(path)) == public_text(signing_key(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_such_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("secret")
    with pytest.raises(InvalidRequest, match="not a private key"):
        signing_key(path)
    path.write_bytes(Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InvalidRequest, match="another kind"):
        signing_key(path)
