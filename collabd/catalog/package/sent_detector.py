"""What a file was taken for that a client sent."""

from __future__ import annotations

import msgspec


class SentDetector(msgspec.Struct, frozen=True):
    """A detector of this `family`, with a picture of floats 0..1, or 0..255 (`levels`); None: of bytes."""

    family: str
    levels: bool | None
