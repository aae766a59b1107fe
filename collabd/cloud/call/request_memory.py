"""The bytes that all requests together hold, encoded and decoded, within a bound that many devices cannot exceed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from collab_sdk.errors import Overloaded
from collabd.fair_shares import most_for

# A request takes so much besides its tensors: for its connection, headers and buffers.
_LEAST_BYTES = 64 * 1024


class RequestMemory:
    """Who holds how many of `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: Counter[str | None] = Counter()

    @contextmanager
    def held(self, peer: str | None, size: int) -> Iterator[None]:
        """Hold `size` bytes, and a little more, for a request of this device. Raises `Overloaded`."""
        size += _LEAST_BYTES
        if self._held.total() + size > self._most or self._held[peer] + size > most_for(peer, self._most):
            raise Overloaded(f"requests already hold {self._held.total()} bytes; try again later")
        self._held[peer] += size
        try:
            yield
        finally:
            self._held -= Counter({peer: size})
