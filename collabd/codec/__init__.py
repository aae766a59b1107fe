"""Features to bytes and back: `encode`, `decode`. Payloads are never trusted: whatever is wrong raises `CodecError`."""

from collabd.codec.codecs import (
    FEATURE_CODECS,
    IMAGE_CODECS,
    JPEG_CODECS,
    LOSSLESS,
    MAX_BYTES,
    PER_CHANNEL,
    Encoded,
    decode,
    encode,
)
from collabd.codec.errors import CodecError
from collabd.codec.formats import JPEG, USUAL_JPEG

__all__ = [
    "FEATURE_CODECS",
    "IMAGE_CODECS",
    "JPEG",
    "JPEG_CODECS",
    "LOSSLESS",
    "MAX_BYTES",
    "PER_CHANNEL",
    "USUAL_JPEG",
    "CodecError",
    "Encoded",
    "decode",
    "encode",
]
