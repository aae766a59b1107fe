"""How many bytes all requests together may hold, encoded and decoded, so that no crowd of devices can exhaust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from collab_sdk.errors import Overloaded

# What no single device can take.
_RESERVED = 0.25
# What a request takes beside its tensors: connection, headers and buffers.
_LEAST_BYTES = 64 * 1024


class Memory:
    """An account of `most_bytes`. A peer of no address came through another server of this machine, like all others."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: Counter[str | None] = Counter()

    @contextmanager
    def held(self, peer: str | None, size: int) -> Iterator[None]:
        """Hold `size` bytes and a little more for a device. Raises `Overloaded`."""
        size += _LEAST_BYTES
        most = self._most * (1 - _RESERVED) if peer else self._most
        if self._held.total() + size > self._most or self._held[peer] + size > most:
            raise Overloaded(f"requests hold {self._held.total()} bytes already; try again later")
        self._held[peer] += size
        try:
            yield
        finally:
            self._held -= Counter({peer: size})
