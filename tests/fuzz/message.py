"""A message of the protocol as one input: the header's value, the JSON, then the tensors' bytes.

The first line is the value of the header that says where the JSON ends. Empty: no header. "=": the true length.
"""

from __future__ import annotations

from collab_sdk import wire

_END = b"\n\0\n"


def joined(message: wire.Message) -> bytes:
    """The input that `split` takes apart into this message."""
    length = wire.header_length(message.headers)
    body = message.body()
    if length is None:
        return b"\n" + body
    return b"=\n" + body[:length] + _END + body[length:]


def split(data: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    value, _, body = data.partition(b"\n")
    head, end, binary = body.partition(_END)
    if value == b"=":
        return {wire.HEADER_LENGTH: str(len(head))}, head + binary
    headers = {wire.HEADER_LENGTH: value.decode("latin-1")} if value else {}
    return headers, head + (binary if end else b"")
