"""Features to bytes and back: `encode`, `decode`. Payloads are never trusted: whatever is wrong raises `CodecError`."""

from collabd.codec.codecs import (
    FEATURE_CODECS,
    IMAGE_CODECS,
    LOSSLESS,
    MAX_BYTES,
    PER_CHANNEL,
    Encoded,
    decode,
    encode,
)
from collabd.codec.errors import CodecError

__all__ = [
    "FEATURE_CODECS",
    "IMAGE_CODECS",
    "LOSSLESS",
    "MAX_BYTES",
    "PER_CHANNEL",
    "CodecError",
    "Encoded",
    "decode",
    "encode",
]
