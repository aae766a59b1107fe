"""How many bytes all requests together may hold, encoded and decoded, so that no crowd of devices can exhaust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from collab_sdk.errors import Overloaded
from collabd.fair_shares import most_for

# What a request takes beside its tensors: connection, headers and buffers.
_LEAST_BYTES = 64 * 1024


class RequestMemory:
    """An account of `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: Counter[str | None] = Counter()

    @contextmanager
    def held(self, peer: str | None, size: int) -> Iterator[None]:
        """Hold `size` bytes and a little more for a device. Raises `Overloaded`."""
        size += _LEAST_BYTES
        if self._held.total() + size > self._most or self._held[peer] + size > most_for(peer, self._most):
            raise Overloaded(f"requests already hold {self._held.total()} bytes; try again later")
        self._held[peer] += size
        try:
            yield
        finally:
            self._held -= Counter({peer: size})
