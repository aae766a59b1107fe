"""zstd at level 1 where it saves bytes, and its inverse for bytes that are not trusted."""

from __future__ import annotations

import threading

import zstandard

from collabd.codec.errors import CodecError


class _Contexts(threading.local):
    """zstd contexts, one for each thread: they must not be shared, and building them for each tensor costs too much."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def squeeze(data: memoryview) -> tuple[bytes | memoryview, bool]:
    """The smaller of `data` and its zstd frame, and whether it is the frame."""
    packed = _contexts.compressor.compress(data)
    return (packed, True) if len(packed) < len(data) else (data, False)


def unsqueeze(frame: bytes | memoryview, size: int) -> bytes:
    """The `size` bytes inside one zstd frame. Memory is bounded by `size`, whatever the frame holds or claims."""
    try:
        # The decompressor allocates what the frame claims, so the claim is checked before it is believed.
        if zstandard.frame_content_size(frame) != size:
            raise CodecError(f"the zstd frame does not hold the {size} bytes of its tensor")
        data = _contexts.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CodecError(f"this is not a zstd frame: {error}") from None
    if len(data) != size:
        raise CodecError(f"the zstd frame has {len(data)} bytes, but its tensor has {size}")
    return data
