"""What a bad way does to the bytes that pass: some are changed, and replies break off."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass
class Damage:
    """`flip_share`: of all packets, so many get one byte changed. `cut_after`: a reply ends behind so many bytes."""

    random: Random
    flip_share: float = 0.0
    cut_after: int | None = None

    def flip(self, packet: bytes) -> bytes:
        """The packet as it arrives."""
        if self.random.random() >= self.flip_share:
            return packet
        damaged = bytearray(packet)
        damaged[self.random.randrange(len(damaged))] ^= self.random.randrange(1, 256)
        return bytes(damaged)

    def passing(self, sent: int, more: int) -> int:
        """How many of `more` bytes still pass when the reply has had `sent`."""
        return more if self.cut_after is None else max(min(more, self.cut_after - sent), 0)
