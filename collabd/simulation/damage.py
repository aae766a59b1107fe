"""The damage that a bad link does to the bytes on it: it changes some of them, and it cuts replies short."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass
class Damage:
    """`flip_share`: the share of packets that get one byte changed. `cut_after`: a reply ends after this many bytes."""

    random: Random
    flip_share: float = 0.0
    cut_after: int | None = None

    def flip(self, packet: bytes) -> bytes:
        """The packet as it arrives, with or without a changed byte."""
        if self.random.random() >= self.flip_share:
            return packet
        damaged = bytearray(packet)
        damaged[self.random.randrange(len(damaged))] ^= self.random.randrange(1, 256)
        return bytes(damaged)

    def passing(self, sent: int, more: int) -> int:
        """How many of `more` bytes still pass, when the reply has already sent `sent` bytes."""
        return more if self.cut_after is None else max(min(more, self.cut_after - sent), 0)
