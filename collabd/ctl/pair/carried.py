"""The file that a person carries from the companion to the device: all that the device needs to reach the companion."""

from __future__ import annotations

import msgspec

from collabd.config import HttpUrl, Name


class Carried(msgspec.Struct, frozen=True, kw_only=True, tag_field="collabd_pair", tag=1):
    """`name` and `url` of the companion; "" for a key: there is none. Certificates and keys are in PEM."""

    device: Name
    name: Name
    url: HttpUrl
    token: str
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    # Whether the companion announces itself, so that the device can find it again at another address.
    announced: bool = False

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


def decode(data: bytes) -> Carried:
    """Read the file's bytes. `ValueError`: they are malformed; the message shows none of the content, a secret."""
    try:
        return msgspec.json.decode(data, type=Carried)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("collabctl pair new did not write this file") from None
